"""The frame that is tracked is the frame that the browser shows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sam2_plugins.core.frames import open_frames
from sam2_plugins.labelstudio_backend import projects
from sam2_plugins.labelstudio_backend.timing import FrameClock
from sam2_plugins.labelstudio_backend.tracking import MovieFacts
from tests.hosts.labelstudio import movies

VFR = [0, 40, 65, 165, 205, 230, 330, 370, 395, 495, 535, 560, 660, 700, 725, 825, 865, 890, 990]

CASES = {
    "right rate": (movies.every(40, 50), 25),
    "default rate on 25 a second": (movies.every(40, 50), 24),
    "twice the rate": (movies.every(40, 40), 50),
    "29.97": (movies.every(1001 / 30, 50), 29.97),
    "variable": (VFR, 25),
    "starts late": (movies.every(40, 40, start=480), 25),
}


@pytest.mark.parametrize("case", CASES)
def test_the_clock_says_what_the_browser_shows(case, api, browser, tmp_path):
    times, rate = CASES[case]
    path = movies.write_movie(tmp_path / "numbered.mp4", movies.numbered(len(times)), times)
    project = projects.create_project(api, case, projects.video_config(["Cell"], rate))
    projects.upload(api, project, path)
    (task,) = projects.tasks(api, project)
    editor = browser.open_task(project, task["id"])
    editor.wait_for_video()
    count = int(editor.page.evaluate("Htx.annotationStore.selected.names.get('video').length"))
    with open_frames(path) as frames:
        clock = FrameClock.of(rate, MovieFacts.of(frames).times)
    assert clock.count == pytest.approx(count, abs=1)
    expected, wrong = replace(clock, count=count).shown, []
    for frame in range(1, count + 1, 2):
        shown = shown_number(editor, frame, int(expected[frame - 1]))
        if shown != expected[frame - 1]:
            wrong.append((frame, shown, int(expected[frame - 1])))
    editor.close()
    assert not wrong


def shown_number(editor, frame: int, expected: int) -> int:
    """Go to a frame and read the number off the screen.

    The picture may come a while after the seek has ended; on a busy machine the browser
    sometimes never draws it, so the frame is left and visited again, as a person would.
    A clock that is wrong is wrong at every visit.
    """
    shown = -1
    for _ in range(3):
        editor.show_frame(frame)
        for _ in range(60):
            shown = movies.number_in(editor.video_pixels())
            if shown == expected:
                return shown
            editor.page.wait_for_timeout(50)
        editor.show_frame(1 if frame > 1 else 2)
    return shown
