from __future__ import annotations

from dataclasses import replace

import pytest

from sam2_plugins.labelstudio_backend.errors import LabelStudioError
from sam2_plugins.labelstudio_backend.settings import Settings


def test_what_is_given_goes_before_the_environment_and_that_before_the_default():
    environment = {"SAM2_MODEL": "sam2.1-tiny", "SAM2_MAX_FRAMES": "50", "LABEL_STUDIO_URL": ""}
    made = Settings.from_environment({"model": "nano", "device": None}, environment)
    assert (made.model, made.max_frames, made.device, made.url) == ("nano", 50, "auto", "")


def test_an_authority_is_named_in_any_of_the_usual_variables(tmp_path):
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        made = Settings.from_environment({}, {variable: str(tmp_path)})
        assert made.ca_file == str(tmp_path)


def test_lists_are_read_with_commas():
    made = Settings.from_environment({}, {"SAM2_ALLOW_HOSTS": "minio.local, nas"})
    assert made.allow_hosts == ("minio.local", "nas")


@pytest.mark.parametrize(
    "environment",
    [
        {"SAM2_MAX_FRAMES": "many"},
        {"SAM2_MASKS": "some"},
        {"SAM2_MAX_FRAMES": "-1"},
        {"LABEL_STUDIO_URL": "localhost:8080"},
    ],
)
def test_a_wrong_setting_is_told(environment):
    with pytest.raises(LabelStudioError):
        Settings.from_environment({}, environment)


def test_a_model_from_a_file_is_named_after_it():
    assert Settings(model="/models/cells 3.safetensors").model_version == "SAM 2 cells 3"


def test_predictions_of_other_settings_or_of_a_model_trained_anew_have_another_version(tmp_path):
    path = tmp_path / "my cells.safetensors"
    path.write_bytes(b"first")
    made = Settings(model=str(path))
    versions = [
        made.model_version,
        replace(made, memory="samurai", masks="all", everything="Cell").model_version,
    ]
    path.write_bytes(b"trained anew")
    versions.append(made.model_version)
    assert all(version.startswith("SAM 2 my cells ") for version in versions)
    assert versions[1] == f"{versions[0]}, memory samurai, masks all, everything Cell"
    assert len(set(versions)) == 3
