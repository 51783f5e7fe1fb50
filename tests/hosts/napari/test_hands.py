"""Mouse, wheel and keys where a focus matters."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QKeyEvent, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from tests.hosts.napari.conftest import Bench
from tests.hosts.napari.test_story import LEFT, RIGHT, TRUTH, begin, track


def wheel(widget: QWidget) -> None:
    middle = QPointF(widget.rect().center())
    event = QWheelEvent(
        middle,
        QPointF(widget.mapToGlobal(widget.rect().center())),
        QPoint(0, 0),
        QPoint(0, -240),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)


def test_one_cell_per_click(bench: Bench) -> None:
    begin(bench)
    bench.click(*RIGHT)
    assert list(bench.controller.objects) == [1, 2]
    assert bench.iou(0, 1, TRUTH[0] == 1) > 0.8 and bench.iou(0, 2, TRUTH[0] == 2) > 0.8
    assert "begins" in bench.widget.status.text() or bench.widget.objects.tree.topLevelItemCount()
    bench.click(*LEFT)
    assert bench.controller.selected == 1
    assert len(bench.controller.work.workspace.points.data) == 2  # type: ignore[union-attr]


def test_the_wheel_over_the_form_changes_nothing(bench: Bench) -> None:
    form, run = bench.widget.form, bench.widget.run
    fields = [form.model, form.memory, form.contrast, form.axis, form.image]
    chosen = [field.currentText() for field in fields]
    numbers = [run.first.value(), run.last.value()]
    for field in (*fields, run.first, run.last):
        wheel(field)
    assert [field.currentText() for field in fields] == chosen
    assert [run.first.value(), run.last.value()] == numbers


def test_no_button_moves_when_a_message_needs_two_lines(bench: Bench) -> None:
    status = bench.widget.status
    status.setText("one line\nand another")
    assert status.heightForWidth(status.width()) <= status.minimumHeight()


def test_keys_work_after_a_click_in_the_table(bench: Bench) -> None:
    begin(bench)
    tree = bench.widget.objects.tree
    item = tree.topLevelItem(0)
    assert item is not None
    QTest.mouseClick(
        tree.viewport(),
        Qt.MouseButton.LeftButton,
        pos=tree.visualItemRect(item).center(),
    )
    tree.setFocus()
    QTest.keyClick(tree, Qt.Key.Key_N)
    held = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_N, Qt.KeyboardModifier(0), "n", True)
    QApplication.sendEvent(tree, held)
    assert list(bench.controller.objects) == [1, 2]


def test_typing_a_name_is_no_key(bench: Bench) -> None:
    line = bench.widget.form.model.lineEdit()
    assert line is not None
    line.setFocus()
    QTest.keyClicks(line, "nNg")
    assert bench.controller.objects == {}


def test_control_z_takes_clicks_strokes_and_runs_back_in_one_order(bench: Bench) -> None:
    begin(bench)
    track(bench)
    bench.show_frame(5)
    bench.press(bench.widget.tools.brush)
    bench.drag((80, 20), (80, 24))
    bench.until(lambda: bool(bench.controller.work.session.painted))  # type: ignore[union-attr]
    bench.rest()
    seen = []
    for _ in range(3):
        control_z(bench)
        store = bench.controller.work.workspace.store  # type: ignore[union-attr]
        mask = store.get((5,), 1)
        painted = mask is not None and bool(mask.to_array()[80, 22])
        seen.append((painted, len(store.frames_of(1))))
    assert seen == [(False, 12), (False, 1), (False, 0)]
    for _ in range(3):
        control_z(bench, shift=True)
    mask = bench.mask(5, 1)
    assert mask is not None and mask.to_array()[80, 22]


def control_z(bench: Bench, shift: bool = False) -> None:
    keys = Qt.KeyboardModifier.ControlModifier
    if shift:
        keys |= Qt.KeyboardModifier.ShiftModifier
    bench.canvas.setFocus()
    QTest.keyClick(bench.canvas, Qt.Key.Key_Z, keys)
    bench.rest()
