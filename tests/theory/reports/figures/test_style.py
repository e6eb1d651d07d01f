"""One look per method, and SVG that stands on its own and is the same every time."""

import re

import matplotlib as mpl
import pytest

from theory.reports.figures import style

METHODS = [("B", "x", False), ("A", "x", False), ("MeanValue", "baseline", True), ("C", "y", False)]


def picture(name="one"):
    figure = style.new_figure(2.0)
    figure.subplots().plot([1, 2], [3, 4], label="<&>")
    return style.svg(figure, name=name, label='a "quoted" <label>')


def test_looks_do_not_depend_on_the_order_of_methods():
    assert style.looks(METHODS) == style.looks(METHODS[::-1])


def test_up_to_ten_methods_have_different_colours_and_controls_are_grey():
    found = style.looks([(f"M{i}", "f", False) for i in range(10)] + METHODS[2:3])
    assert len({look.colour for name, look in found.items() if name != "MeanValue"}) == 10
    red, green, blue = (int(found["MeanValue"].colour[i : i + 2], 16) for i in (1, 3, 5))
    assert max(red, green, blue) - min(red, green, blue) < 20


def test_methods_of_one_colour_differ_in_marker():
    found = style.looks([(f"M{i}", "f", False) for i in range(40)])
    assert len(set(found.values())) == 40


def test_svg_is_the_same_every_time():
    assert picture() == picture()


def test_svg_has_a_label_and_neither_prolog_nor_metadata_nor_address():
    text = picture()
    assert text.startswith('<svg role="img" aria-label="a &quot;quoted&quot; &lt;label>"')
    assert not re.search(r"https?:|<\?xml|DOCTYPE|<metadata", text)


def test_identifiers_of_two_pictures_differ():
    ids = [set(re.findall(r'\bid="([^"]+)"', picture(name))) for name in ("one", "two")]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_text_stays_text():
    figure = style.new_figure(2.0)
    style.styled(lambda: style.heading(figure, "searchable words"))()
    assert "searchable words" in style.svg(figure, name="a", label="b")


def test_settings_of_the_process_are_left_alone():
    before = dict(mpl.rcParams)
    style.styled(lambda: style.new_figure(1.0))()
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_saved_files_are_the_same_every_time(tmp_path, suffix):
    contents = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        figure = style.new_figure(1.5)
        figure.subplots().plot([1, 2], [2, 1])
        contents.append(style.save(figure, tmp_path / folder / f"x{suffix}").read_bytes())
    assert contents[0] == contents[1]
