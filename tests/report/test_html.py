"""report.html: complete, offline, safe, and true to the rows."""

import base64
import dataclasses
import html.parser
import io
import math
import re

import numpy as np
import PIL.Image
import pytest
import sklearn.metrics
import soundfile

from asd_jax.report.contents import Branch, Report
from asd_jax.report.html import render, write_report
from tests.report.machines import (
    EVIL,
    make_embedding,
    make_example,
    make_report,
    make_results,
    make_rows,
)

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(html.parser.HTMLParser):
    """Fails on tags that don't nest; collects text, tags, ids and links."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(page)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        assert len({name for name, _ in attrs}) == len(attrs), (tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open[-3:])
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title"):
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words)).replace("\xa0", " ")

    def uris(self, tag, name):
        return [attrs[name] for kind, attrs in self.tags if kind == tag and name in attrs]


@pytest.fixture(scope="module")
def full():
    return render(make_report())


def test_the_same_report_gives_the_same_bytes(tmp_path):
    write_report(tmp_path / "a.html", make_report())
    write_report(tmp_path / "b.html", make_report())
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_it_nests_and_needs_nothing_from_outside(full):
    page = Page(full)
    for tag, attrs in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed")
        for name, value in attrs.items():
            if name in ("src", "href", "srcset", "data", "poster", "action", "xlink:href"):
                assert value.startswith(("data:", "#")), (tag, name, value[:60])
            assert not name.startswith("on")
    style = re.search(r"<style>(.*?)</style>", full, re.S).group(1)
    assert "url(" not in style and "@import" not in style and "://" not in style
    anchors = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert {uri[1:] for uri in page.uris("a", "href")} <= anchors


def test_the_verdict_counts_what_the_rows_say(full):
    rows = make_report().rows
    counts = [sum(row["label"] == label and row["score"] > 6.0 for row in rows) for label in (1, 0)]
    text = Page(full).text
    assert 0 < counts[0] < 27 and 0 < counts[1] < 40
    assert f"Of 27 faulty clips {counts[0]} were caught ({100 * counts[0] / 27:.0f} %)" in text
    assert f"Of 40 healthy clips {counts[1]} raised a false alarm" in text
    assert "without seeing a fault, so that about 10 % of healthy clips" in text
    assert re.search(r"Heard best: pump \([a-z ]+, AUC 0\.900\)", text)
    assert re.search(r"Hardest: fan 02 \([a-z ]+, AUC 0\.800\)", text)
    assert "Mean 0.812" in text


@pytest.mark.parametrize("healthy", [3, 250])
def test_each_clip_is_a_dot(healthy):
    rows = tuple(make_rows(healthy=healthy, faulty=2))
    page = render(Report(results={}, rows=rows))
    alarms = sum(row["decision"] for row in rows[:healthy])
    full, hollow = (
        sum(d.count("M") for d in re.findall(rf'class="dot {css}healthy" d="([^"]*)"', page))
        for css in ("", "hollow ")
    )
    if healthy == 3:
        assert (full, hollow) == (alarms, 3 - alarms)
    else:
        assert full + hollow == 100 and full == round(100 * alarms / 250)
        assert "100 dots stand for all clips" in page


def test_figures_missing_in_the_results_come_from_the_rows():
    rows = make_rows(faulty=15)
    auc = sklearn.metrics.roc_auc_score(
        [row["label"] for row in rows], [row["score"] for row in rows]
    )
    temporal = sklearn.metrics.roc_auc_score(
        [row["label"] for row in rows], [row["score_temporal"] for row in rows]
    )
    text = Page(render(Report(results={}, rows=tuple(rows)))).text
    assert f"AUC {auc:.3f}" in text
    assert f"temporal {temporal:.3f}" in text


def test_names_are_escaped_wherever_they_come():
    rows = make_rows(EVIL, "<i>7", faulty=12, path=EVIL)
    report = make_report(
        results=make_results((EVIL, "<i>7"), protocol={EVIL: EVIL}, timing={EVIL: 3.0}),
        rows=tuple(rows) + tuple(make_rows("fan", label=-1, path=EVIL)),
        embedding=make_embedding(rows + make_rows("fan")),
        examples=(make_example(rows[-1]), make_example(rows[0], audio=False)),
        branches=(Branch(EVIL, 0.5, True, EVIL),),
        history=tuple({"stage": EVIL, "step": k, "loss" + EVIL: 1.0 + k} for k in range(3)),
        warnings=(EVIL,),
        title=EVIL,
        version=EVIL,
        config={EVIL: EVIL},
    )
    page = render(report)
    parsed = Page(page)
    assert "<script" not in page and "<i>7" not in page
    assert parsed.text.count(EVIL) > 20
    assert not [tag for tag, _ in parsed.tags if tag == "script"]


def test_a_file_name_that_is_no_utf8_is_shown(tmp_path):
    rows = make_rows(path="motor\udce4.wav", label=-1)
    write_report(tmp_path / "r.html", Report(results={}, rows=tuple(rows)))
    assert "motor?.wav" in (tmp_path / "r.html").read_text("utf-8")


def test_pictures_and_sound_decode(full):
    page = Page(full)
    images = page.uris("image", "href")
    assert len(images) == 4
    for uri in images:
        image = PIL.Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
        assert image.size == (63, 32)
        image.load()
    sounds = page.uris("audio", "src")
    assert len(sounds) == 2
    for uri in sounds:
        heard, rate = soundfile.read(io.BytesIO(base64.b64decode(uri.split(",")[1])))
        assert (len(heard), rate) == (1600, 16000)
    assert "12 dB louder than normal" in page.text


def test_every_picture_has_words_and_every_table_a_head(full):
    page = Page(full)
    for tag, attrs in page.tags:
        if tag == "svg":
            assert attrs.get("aria-hidden") == "true" or len(attrs["aria-label"]) > 5
        if tag == "audio":
            assert attrs["aria-label"].startswith("Play ") and "controls" in attrs
    assert full.count("<table") == full.count("</table>")
    for table in re.findall(r"<table.*?</table>", full, re.S):
        assert 'scope="row"' in table
    for figure in re.findall(r"<figure>.*?</figure>", full, re.S):
        assert "<figcaption>" in figure


def test_branches_and_training_are_told(full):
    text = Page(full).text
    assert "fusion 1.000" not in text
    assert re.search(r"temporal 0\.\d{3} 0\.10 left out Knows", text)
    assert "pretrain 5 min" in text and "evaluate 8.1 s" in text
    assert "data.root /data/<b>" in text
    assert len(re.findall(r'aria-label="Loss of stage', full)) == 2
    assert "Three clips could not be read." in text


def _unlabelled():
    rows = make_rows(label=-1)
    return make_report(rows=tuple(rows), results={"groups": []}, embedding=make_embedding(rows))


def test_without_labels_it_names_the_unusual_clips():
    report = _unlabelled()
    page = render(report)
    text = Page(page).text
    unusual = sorted((r for r in report.rows if r["decision"]), key=lambda r: -r["score"])
    assert f"Of 32 unlabelled clips {len(unusual)} sound unusual" in text
    section = page[page.index('id="unusual"') : page.index('id="machines"')]
    listed = re.findall(r'class="path">([^<]*)<', section)
    assert listed == [row["path"] for row in unusual[:10]]
    assert "ROC curve needs both" in text and "FAR-FRR curve needs both" in text
    assert "AUC" not in re.search(r"<thead.*?</thead>", page[page.index('id="machines"') :]).group()


def test_wrong_clips_are_listed(full):
    rows = make_report().rows
    missed = sorted((r for r in rows if r["label"] == 1 and not r["decision"]),
                    key=lambda r: r["score"])  # fmt: skip
    section = full[full.index("Missed faults: ") : full.index("False alarms: ")]
    assert re.findall(r'class="path">([^<]*)<', section) == [row["path"] for row in missed]


def _change(rows, **change):
    return tuple({**row, **change} for row in rows)


CASES = {
    "nothing": (Report(results={}, rows=()), "nothing to judge"),
    "healthy only": (Report(results={}, rows=tuple(make_rows(faulty=0))), "no faulty clip"),
    "faulty only": (Report(results={}, rows=tuple(make_rows(healthy=0))), "no healthy clip"),
    "one clip": (
        Report(results={}, rows=tuple(make_rows(healthy=1, faulty=0, decision=0))),
        "The only healthy clip raised no alarm",
    ),
    "one of each": (Report(results={}, rows=tuple(make_rows(healthy=1, faulty=1))), "Fewer than"),
    "no threshold": (
        Report(results={}, rows=_change(make_rows(), threshold=None, decision=-1)),
        "without a threshold nothing was decided",
    ),
    "unlabelled, no threshold": (
        Report(results={}, rows=_change(make_rows(), threshold=math.nan, decision=-1, label=-1)),
        "without a threshold nothing was decided",
    ),
    "equal scores": (Report(results={}, rows=_change(make_rows(), score=1.0)), "AUC 0.500"),
    "no finite score": (
        Report(results={}, rows=_change(make_rows(), score=math.nan)),
        "32 clips have no finite score",
    ),
    "one not finite": (
        Report(results={}, rows=(*_change(make_rows()[:1], score=math.inf), *make_rows()[1:])),
        "1 clip has no finite score",
    ),
    "groups without rows": (Report(results=make_results(("a", "0")), rows=()), "0.900"),
    "null results": (
        Report(
            results={"protocol": None, "mean": None, "timing": None, "seed": None,
                     "groups": [{"machine_type": "pump", "machine_id": "00", "auc": None,
                                 "pauc": math.nan, "auc_interval": [None, 1.0],
                                 "threshold": None}]},
            rows=tuple(make_rows()),
        ),
        "Of 12 faulty clips",
    ),
    "oracle": (Report(results={"protocol": {"oracle": True}}, rows=tuple(make_rows())), "oracle"),
    "oracle field": (Report(results={}, rows=tuple(make_rows()), oracle=True), "oracle"),
    "few embedded, two machines": (
        make_report(
            embedding=make_embedding(
                (make_rows(healthy=1, faulty=0) + make_rows("fan", healthy=1, faulty=0))[:2],
                train=False,
            )
        ),
        "no embedding to draw",
    ),
    "few embedded": (
        make_report(embedding=make_embedding(make_rows(healthy=1, faulty=0))),
        "no embedding to draw",
    ),
    "embedding not finite": (
        make_report(
            embedding=dataclasses.replace(
                make_embedding(make_rows()), points=np.full((64, 5), np.nan)
            )
        ),
        "no embedding to draw",
    ),
    "history without numbers": (
        make_report(history=({"stage": "a", "step": 0, "loss": None}, {"loss": "x"}, {})),
        "No network was trained",
    ),
    "silent example": (
        make_report(examples=(make_example(make_rows()[0], audio=False, threshold=math.nan),)),
        "12 dB louder",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_missing_is_said_and_nothing_is_drawn_empty(case):
    report, said = CASES[case]
    page = render(report)
    assert said in Page(page).text
    assert not re.search(r'\bd="M?"', page)
    assert not re.search(r"(?<![\w/+])(nan|inf)(?![\w/+])", re.sub(r"base64,[^\"]*", "", page))
    assert '<div class="grid">\n</div>' not in page


def test_a_known_false_alarm_rate_is_not_shown_for_an_oracle():
    report = make_report(oracle=True)
    text = Page(render(report)).text
    assert "in practice expect less" in text and "without seeing a fault, so that" not in text


@pytest.mark.parametrize(("second", "shared"), [(6.0, True), (5.0, False)])
def test_a_threshold_that_machines_share_is_not_called_their_own(second, shared):
    rows = [*make_rows("fan", "00"), *make_rows("fan", "02", threshold=second)]
    results = make_results(("fan", "00"), ("fan", "02"))
    results["groups"][1]["threshold"] = second
    text = Page(render(Report(results=results, rows=tuple(rows)))).text
    assert ("at a threshold that several machines share" in text) == shared
    assert ("at the machine's own threshold" in text) != shared


def test_an_example_without_a_threshold_is_not_called_quiet():
    example = make_example(make_rows()[0], threshold=math.nan)
    text = Page(render(make_report(examples=(example,)))).text
    assert " healthy pump · score" in text and "(threshold" not in text


def test_many_machines_fold_away_the_easier_ones():
    rows, groups = [], []
    for number in range(14):
        rows += make_rows("fan", f"{number:02d}", healthy=10, faulty=10, seed=number)
        groups.append(("fan", f"{number:02d}"))
    page = render(Report(results=make_results(*groups), rows=tuple(rows)))
    assert page.count("2 more machines, the easier ones") == 2
    shown = page[page.index("Scores and threshold") : page.index("2 more machines")]
    assert "<h4>fan 13</h4>" in shown and "<h4>fan 00</h4>" not in shown
    assert page.count('aria-label="ROC curves.') == 3


def test_sound_that_would_make_the_file_huge_stays_out():
    row = make_rows()[0]
    long = np.ones(16000 * 60, np.int16)
    examples = tuple(make_example(row, audio=long) for _ in range(12))
    page = render(make_report(examples=examples))
    assert len(page) < 4_000_000
    sounds = Page(page).uris("audio", "src")
    assert 2 <= len(sounds) < 12 and "Not embedded, to keep this page small" in page


def test_departures_from_the_paper_are_listed_and_not_among_the_facts():
    results = make_results(("pump", "00"), ("fan", "02"))
    told = {"name": "literal", "deviations": ["The stem <is> wider."], "readings": ["No margin."]}
    page = Page(render(make_report(results={**results, "protocol": told})))
    assert "Where this run departs from the paper (1)" in page.text
    assert "The stem <is> wider." in page.text and "No margin." in page.text
    assert "Protocol: deviations" not in page.text and "Protocol: name" in page.text


def test_sets_of_machines_and_noise_levels_are_shown_apart():
    results = make_results(("pump", "00"), ("fan", "02"))
    mean = {
        **results["mean"],
        "official_sets": {"development": {"2020": 0.8125}, "evaluation": {"2020": 0.7}},
        "by_snr": {"-6": {"auc": 0.6}, "6": {"auc": 0.9}},
    }
    text = Page(render(make_report(results={**results, "mean": mean}))).text
    assert "DCASE 2020 score, development machines 0.812" in text
    assert "DCASE 2020 score, evaluation machines 0.700" in text
    assert "Mean AUC at -6 dB 0.600" in text and "Mean AUC at 6 dB 0.900" in text
