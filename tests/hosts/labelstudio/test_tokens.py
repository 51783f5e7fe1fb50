"""Both kinds of token that Label Studio gives out."""

from __future__ import annotations

from sam2_plugins.labelstudio_backend.client import LabelStudio
from tests.hosts.labelstudio.test_long_tracks import wait_for


def test_a_personal_access_token_of_the_real_server_is_taken(api, label_studio):
    personal = api.request("POST", "/api/token/")["token"]
    assert personal.count(".") == 2, "it is a JSON web token"
    server = LabelStudio(label_studio.url, personal)
    wait_for(lambda: server.request("GET", "/api/current-user/whoami"))
    assert server.request("GET", "/api/current-user/whoami")["email"]
    assert server.headers()["Authorization"].startswith("Bearer ")
    assert api.headers()["Authorization"].startswith("Token ")
