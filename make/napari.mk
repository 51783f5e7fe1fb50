# napari's own tests: a real viewer on a virtual screen.
NAPARI_PACKAGES := -e '.[dev,napari]' 'napari[pyqt6]' pytest-qt pytest-xvfb
NAPARI_DEBIAN := xvfb libegl1 libgl1 libgl1-mesa-dri libopengl0 libxkbcommon-x11-0 libxcb-cursor0 \
  libxcb-icccm4 libxcb-keysyms1 libxcb-image0 libxcb-randr0 libxcb-render-util0 libxcb-shape0 \
  libxcb-xinerama0 libxcb-xkb1 libdbus-1-3 libfontconfig1 libglib2.0-0

.PHONY: test-napari pictures-napari
test: test-napari

$(VENV)-napari/.installed: pyproject.toml make/napari.mk
	make/system_packages.sh $(NAPARI_DEBIAN)
	$(call install,$(VENV)-napari,$(NAPARI_PACKAGES))
	touch $@

test-napari: $(VENV)-napari/.installed
	$(VENV)-napari/bin/python -m pytest tests/test_portable.py tests/napari_plugin tests/hosts/napari

pictures-napari: $(VENV)-napari/.installed
	xvfb-run -a -s "-screen 0 1600x1000x24" $(VENV)-napari/bin/python docs/make_napari_pictures.py
