# Two environments: that of the backend and its tests, and that of Label Studio itself, which wants
# other versions of nearly everything. Its migrated database is kept: a first start takes minutes.
LABELSTUDIO := $(VENV)-labelstudio
LABELSTUDIO_SERVER := $(LABELSTUDIO)-server
LABELSTUDIO_PACKAGES := -e '.[dev,labelstudio]' playwright 'moto[s3,server]' redis rq label-studio-tools requests appdirs attrs colorama \
  flask lxml pyyaml
LABELSTUDIO_DEBIAN := chromium fonts-dejavu-core

.PHONY: test-labelstudio pictures-labelstudio
test: test-labelstudio

$(LABELSTUDIO)/.installed: pyproject.toml make/labelstudio.mk
	make/system_packages.sh $(LABELSTUDIO_DEBIAN)
	$(call install,$(LABELSTUDIO),$(LABELSTUDIO_PACKAGES))
# Without what it pins: a Flask of 2020, with known holes, beside which nothing current installs.
	$(LABELSTUDIO)/bin/python -m pip install --quiet --no-deps label-studio-ml==1.0.9
	touch $@

$(LABELSTUDIO_SERVER)/.installed: make/labelstudio.mk
	test -x $(LABELSTUDIO_SERVER)/bin/python || $(PYTHON) -m venv $(LABELSTUDIO_SERVER)
	$(LABELSTUDIO_SERVER)/bin/python -m pip install --quiet label-studio==1.23.2
	touch $@

test-labelstudio: $(LABELSTUDIO)/.installed $(LABELSTUDIO_SERVER)/.installed
	LABEL_STUDIO=$(LABELSTUDIO_SERVER)/bin/label-studio \
	  $(LABELSTUDIO)/bin/python -m pytest tests/test_portable.py tests/labelstudio_backend tests/cli/test_labelstudio.py \
	  tests/hosts/labelstudio
