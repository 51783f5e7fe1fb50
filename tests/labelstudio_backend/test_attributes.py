"""What hangs on a region by its id survives its answer."""

from __future__ import annotations

import pytest

from sam2_plugins.labelstudio_backend.formats import brush
from tests.labelstudio_backend import tasks
from tests.labelstudio_backend.conftest import FRAMES

ATTRIBUTES = """<Choices name="state" toName="{0}" perRegion="true"><Choice value="x"/></Choices>
<TextArea name="words" toName="{0}" perRegion="true"/></View>"""


def config(xml: str, to_name: str) -> str:
    return xml[: xml.rindex("</View>")] + ATTRIBUTES.format(to_name)


def attributes(region: str, to_name: str, **more) -> list[dict]:
    about = {"id": region, "to_name": to_name, **more}
    return [
        {**about, "from_name": "state", "type": "choices", "value": {"choices": ["x"]}},
        {**about, "from_name": "words", "type": "textarea", "value": {"text": ["dim"]}},
    ]


def relation(one: str, other: str) -> dict:
    return {"type": "relation", "from_id": one, "to_id": other, "direction": "right"}


def kinds(results: list[dict], region: str) -> list[str]:
    return [result["type"] for result in results if result.get("id") == region]


@pytest.mark.parametrize("interactive", [True, False])
def test_of_a_box_on_video(engine, files, discs, interactive):
    results = [
        {**tasks.video_box(discs[1], 1), "parentID": "p", "readonly": True},
        *attributes("a", "video"),
        tasks.video_box(discs[1], 2, region="b"),
        relation("a", "b"),
    ]
    task = tasks.video_task(files)
    xml = config(tasks.VIDEO, "video")
    context = {"result": results} if interactive else None
    (answer,) = engine.predict(
        [task if interactive else tasks.annotated(task, *results)], xml, context
    )
    assert kinds(answer["result"], "a") == ["videorectangle", "choices", "textarea"]
    assert relation("a", "b") in answer["result"]
    box = next(r for r in answer["result"] if r.get("id") == "a")
    assert (box["parentID"], box["readonly"]) == ("p", True)


def test_of_a_box_that_becomes_a_mask(engine, files, discs):
    results = [
        tasks.area(discs[1][0], 1),
        *attributes("area1", "image"),
        tasks.area(discs[1][0], 2, "Other"),
        relation("area2", "area1"),
    ]
    task = tasks.annotated(tasks.image_task(files), *results)
    (answer,) = engine.predict([task], config(tasks.IMAGE, "image"))
    masks = {
        r["value"]["brushlabels"][0]: r["id"]
        for r in answer["result"]
        if "rle" in r.get("value", {})
    }
    assert kinds(answer["result"], masks["Cell"]) == ["brushlabels", "choices", "textarea"]
    assert relation(masks["Other"], masks["Cell"]) in answer["result"]
    assert not any(r["type"] == "rectanglelabels" for r in answer["result"])


def test_of_a_click_and_the_click_itself_goes(engine, files):
    click = tasks.click(40, 40)
    off = tasks.click(4, 4, positive=False)
    context = {"result": [click, *attributes(click["id"], "image"), off]}
    xml = config(tasks.IMAGE, "image")
    (answer,) = engine.predict([tasks.image_task(files)], xml, context)
    (region,) = {result["id"] for result in answer["result"]}
    assert kinds(answer["result"], region) == ["brushlabels", "choices", "textarea"]


def test_of_a_page_of_a_stack_with_the_same_id(engine, files, discs):
    click = {"result": [tasks.click(36, 40, page=4)]}
    (first,) = engine.predict([tasks.stack_task(files)], tasks.STACK, click)
    masks = {result["item_index"]: result for result in first["result"]}
    corrected = {**masks[2], "value": {**masks[2]["value"], "rle": brush.encode(discs[1][2] == 1)}}
    others = [mask for page, mask in masks.items() if page != 2]
    on_ours = attributes(masks[7]["id"], "image", item_index=7)
    results = [corrected, *others, *attributes(corrected["id"], "image", item_index=2), *on_ours]
    task = tasks.annotated(tasks.stack_task(files), *results)
    (again,) = engine.predict([task], config(tasks.STACK, "image"))
    assert {r["id"] for r in again["result"]} == {m["id"] for m in masks.values()}
    for page in (2, 7):
        assert kinds(again["result"], masks[page]["id"]) == ["brushlabels", "choices", "textarea"]


def test_of_boxes_that_nothing_is_to_be_done_about(engine, files, discs):
    """A track that no one has touched, beside one that has been corrected."""
    boxes = [tasks.video_box(discs[1], n, region=f"{n}") for n in (1, 2)]
    task = tasks.video_task(files)
    (made,) = engine.predict([task], tasks.VIDEO, {"result": boxes})
    untouched = made["result"][1]
    own = [k for k in untouched["value"]["sequence"] if "box" in k.get("sam2", {})]
    untouched = {**untouched, "value": {**untouched["value"], "sequence": own}}
    (again,) = engine.predict([task], tasks.VIDEO, {"result": [boxes[0], untouched]})
    assert next(r for r in again["result"] if r["id"] == "2")["value"] == untouched["value"]


def test_when_nothing_is_found_everything_comes_back_with_a_note(engine, files):
    click = tasks.click(4, 4, positive=False)
    results = [click, *attributes(click["id"], "image")]
    xml = config(tasks.IMAGE, "image")
    (answer,) = engine.predict([tasks.image_task(files)], xml, {"result": results})
    assert [r["value"] for r in answer["result"]] == [r["value"] for r in results]
    assert all("SAM 2:" in r["meta"]["text"][0] for r in answer["result"])


def test_a_broken_result_among_others_is_passed_over(engine, files, discs):
    odd = [None, 5, "x", [], {"type": "videorectangle"}, {"id": {}, "type": []}]
    context = {"result": [*odd[:4], tasks.video_box(discs[1], 1)]}
    (answer,) = engine.predict([tasks.video_task(files)], tasks.VIDEO, context)
    assert len(answer["result"]) == 1
    (told,) = engine.predict([tasks.video_task(files)], tasks.VIDEO, {"result": odd})
    assert told["model_version"]


def test_of_an_image_are_words_parents_and_locks_too(engine, files, discs):
    nucleus = {**tasks.area(discs[1][0], 1), "parentID": "area2", "locked": True}
    nucleus["meta"] = {"text": ["dim"]}
    results = [nucleus, tasks.area(discs[1][0], 2, "Other")]
    task = tasks.annotated(tasks.image_task(files), *results)
    (answer,) = engine.predict([task], tasks.IMAGE)
    found = {r["value"]["brushlabels"][0]: r for r in answer["result"]}
    assert found["Cell"]["meta"]["text"] == ["dim"]
    assert found["Cell"]["locked"]
    assert found["Cell"]["parentID"] == found["Other"]["id"]


def test_of_a_page_that_nobody_corrected_are_words_too(engine, files):
    click = {"result": [tasks.click(36, 40, page=4)]}
    (first,) = engine.predict([tasks.stack_task(files)], tasks.STACK, click)
    results = [dict(result) for result in first["result"]]
    results[7]["meta"] = {**results[7]["meta"], "text": ["dim"]}
    again = [*results, tasks.click(36, 40, page=4)]
    (answer,) = engine.predict([tasks.annotated(tasks.stack_task(files), *again)], tasks.STACK)
    (page,) = (r for r in answer["result"] if r["id"] == results[7]["id"])
    assert page["meta"]["text"] == ["dim"]


def test_of_a_page_is_the_label_that_a_person_gave_it(engine, files):
    click = tasks.click(36, 40, page=4)
    (first,) = engine.predict([tasks.stack_task(files)], tasks.STACK, {"result": [click]})
    results = [dict(result) for result in first["result"]]
    results[7]["value"] = {**results[7]["value"], "brushlabels": ["Other"]}
    for _ in range(2):
        task = tasks.annotated(tasks.stack_task(files), *results, click)
        (answer,) = engine.predict([task], tasks.STACK)
        results = [r for r in answer["result"] if r["type"] == "brushlabels"]
        found = {r["item_index"]: r["value"]["brushlabels"] for r in results}
        assert found == {page: ["Other" if page == 7 else "Cell"] for page in range(FRAMES)}
