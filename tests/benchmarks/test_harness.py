import json

import pytest

from tests.benchmarks import gate, shares, summary
from tests.benchmarks.case import Case, Goal, Program
from tests.benchmarks.harness import Settings, measure
from tests.benchmarks.protocol import ROOT, Work
from tests.benchmarks.run import known, parse
from tests.benchmarks.text import render
from tests.benchmarks.workers import Variant, WorkerError

HERE = "tests.benchmarks.test_harness"


def build(variant, program):
    """What the workers of these tests do: nothing, `work` times."""
    import numpy as np

    if variant.get("fails"):
        raise ValueError("as it should")
    about = {"parameters": 7}
    return Work(lambda: sum(range(variant["work"])), about, lambda: {"sum": np.ones(2)})


def case(**options):
    variants = [Variant("ours", HERE, {"work": 1000}), Variant("other", HERE, {"work": 100000})]
    program = Program("adding", steps=3, clips=2)
    return Case("Sums", [program], variants, goals=[Goal(("other",), 1.0, 2.0)], **options)


def settings(**options):
    return Settings(**{"torch_python": "", "rounds": 3, "threads": 1, "patience": 0.0, **options})


def test_quartiles_are_those_of_numpy():
    assert summary.quartiles([4.0, 1.0, 3.0, 2.0]) == (1.75, 2.5, 3.25)
    assert summary.quartiles([5.0]) == (5.0, 5.0, 5.0)


def test_ratios_are_taken_round_by_round():
    slow_round = summary.paired_ratios([1.0, 10.0], [2.0, 20.0])
    assert slow_round == [2.0, 2.0]  # the ratio of the medians would be right by luck only
    with pytest.raises(ValueError):
        summary.paired_ratios([1.0], [1.0, 2.0])


def test_a_summary_takes_the_median_of_each_round_first():
    found = summary.summarise([[1.0, 2.0, 90.0], [4.0], [3.0]])
    assert found == {"median": 3.0, "q1": 2.5, "q3": 3.5, "best": 1.0}


@pytest.mark.parametrize(
    ("ratios", "others", "said"),
    [
        ([1.1, 1.2, 1.3], 0.0, "ahead"),
        ([0.7, 0.8, 0.9], 0.0, "behind"),
        ([0.9, 1.0, 1.1], 0.0, "level within the noise"),
        ([1.1, 1.2], 0.0, "too few rounds"),
        ([1.1, 1.2, 1.3], 1.3, "NOT TO BE QUOTED"),
    ],
)
def test_the_verdict_is_no_bolder_than_the_rounds(ratios, others, said):
    assert summary.verdict(ratios, others).startswith(said)


def test_the_best_reference_counts():
    values = {"ours": [[1.0], [1.0]], "a": [[3.0], [3.0]], "b": [[2.0], [2.0]]}
    quiet = {"ours": [0.0, 0.0], "a": [0.0, 0.0], "b": [0.0, 0.0]}
    found = summary.compare(values, "ours", ["a", "b", "absent"], quiet)
    assert (found["against"], found["ratio"]) == ("b", 2.0)
    assert summary.compare(values, "ours", ["absent"], quiet) is None


def test_a_table_is_aligned_markdown():
    lines = summary.table(["what", "ms"], [["a", "1.00"], ["longer", "10.0"]]).splitlines()
    assert lines[0] == "| what   |   ms |"
    assert lines[1] == "| ------ | ---: |"
    assert len({len(line) for line in lines}) == 1
    assert [summary.scaled(v, "ms") for v in (0.001234, 0.01234, 1.234)] == ["1.23", "12.3", "1234"]
    assert summary.scaled(2.5e9, "MB") == "2500"


def test_workers_take_turns_and_the_report_is_json(monkeypatch):
    monkeypatch.chdir(ROOT)
    seen = []

    def check(program, results):
        seen.append({name: arrays["sum"].tolist() for name, arrays in results.items()})
        return ["They agree."]

    report = json.loads(json.dumps(measure(case(check=check), settings())))
    assert seen == [{"ours": [1.0, 1.0], "other": [1.0, 1.0]}]
    found = report["programs"][0]["variants"]
    assert [len(turn["seconds"]) for turn in found["other"]["turns"]] == [3, 3, 3]
    assert found["ours"]["turns"][0].keys() >= {"load", "others", "stolen", "cpu", "peak_rss"}
    assert report["programs"][0]["comparisons"][0]["ratio"] > 5
    assert report["peaks"]["peak numpy sgemm"]["median"] > 0.1
    text = render(report)
    assert "| adding |" in text and "They agree." in text and "Must 1x, aim 2x." in text


def test_a_worker_that_fails_is_named(monkeypatch):
    monkeypatch.chdir(ROOT)
    failing = Case("Fails", [Program("it")], [Variant("broken", HERE, {"fails": True})])
    with pytest.raises(WorkerError, match="broken"):
        measure(failing, settings())


def test_quick_and_absent_torch_leave_out_what_they_say():
    variants = [Variant("ours", HERE), Variant("a", HERE), Variant("t", HERE, torch=True)]
    some = Case("", [Program("p", quick=True), Program("q")], variants, quick=["t"])
    programs, chosen = settings(quick=True, torch_python="python").chosen(some)
    assert [p.name for p in programs] == ["p"]
    assert [v.name for v in chosen] == ["ours", "t"]
    assert [v.name for v in settings().chosen(some)[1]] == ["ours", "a"]


def test_the_command_line_knows_its_cases():
    assert {"ghostnet", "efficientnet", "temporal"} <= set(known())
    assert parse(["all", "--quick"]).quick
    with pytest.raises(SystemExit):
        parse(["nonsense"])


def test_shares_without_a_name_are_of_all_steps():
    assert shares.parse([], ["a", "b"]).names == ["a", "b"]
    assert shares.parse(["b", "--json=f"], ["a", "b"]).names == ["b"]
    with pytest.raises(SystemExit):
        shares.parse(["nonsense"], ["a", "b"])


def test_an_operation_counts_without_those_inside_it():
    def event(name, start, length, thread=1, module="jit_step"):
        args = {"hlo_module": module, "hlo_op": name}
        return {"ph": "X", "ts": start, "dur": length, "tid": thread, "name": name, "args": args}

    events = [
        event("while", 0, 100),
        event("dot", 10, 30),
        event("add", 50, 20),
        event("add", 100, 5),
        event("dot", 0, 7, thread=2),
        event("dot", 0, 1000, module="jit_other"),
        {"ph": "M", "tid": 1},
    ]
    assert shares.own_times(events, "jit_step") == {"while": 50, "dot": 37, "add": 25}


def test_operations_are_named_by_their_source():
    text = """
  %fusion.1 = f32[2]{0} fusion(%a), kind=kLoop, metadata={op_name="jit(step)/jvp(G)/bn/sub"}
  ROOT %dot = f32[2]{0} dot(%a, %b), metadata={op_name="jit(step)/jvp(G)/head/dot_general"}
  %plain = f32[2]{0} copy(%a)"""
    names = shares.names_of(text)
    assert names.keys() == {"fusion.1", "dot"}
    found = shares.shares({"fusion.1": 3.0, "dot": 5.0, "plain": 2.0}, names)
    assert found == {
        "convolution and GEMM, forward": 0.5,
        "BatchNorm and activation, forward": 0.3,
        shares.REST: 0.2,
    }
    depthwise = "jit(step)/transpose(jvp(G))/block1/ghost1/cheap/conv/"
    assert shares.share_of(depthwise + "add") == "depthwise, gradient of the input"
    assert shares.share_of(depthwise + "while/body/add") == "depthwise, gradient of the kernel"
    assert shares.share_of("jit(step)/mul") == "optimizer"


def test_the_gate_fails_only_what_stays_slow(monkeypatch):
    def pair(floor):
        return gate.Pair(
            "sums", lambda: (lambda: sum(range(10)), lambda: sum(range(9999))), floor, 9
        )

    assert gate.check(pair(2.0)) | {"ratio": 0} == {
        "name": "sums",
        "ratio": 0,
        "floor": 2.0,
        "usual": 9,
        "tries": 1,
        "passed": True,
    }
    failed = gate.check(pair(1e9))
    assert (failed["passed"], failed["tries"]) == (False, gate.TRIES)
    ratios = iter([1.0, 3.0])
    monkeypatch.setattr(gate, "ratio_of", lambda fast, plain: next(ratios))
    assert gate.check(pair(2.0))["tries"] == 2


def test_what_the_memory_cannot_hold_is_left_out(monkeypatch):
    monkeypatch.chdir(ROOT)
    said = []
    variants = [Variant("ours", HERE, {"work": 10}), Variant("other", HERE, {"work": 10})]
    programs = [Program("small"), Program("huge", gib=1e6)]
    memory = Case(
        "Memory", programs, variants, goals=[Goal(("other",))], fresh="peak_rss", unit="MB"
    )
    report = measure(memory, settings(rounds=1, say=said.append))
    small, huge = report["programs"]
    assert 1e6 < small["variants"]["ours"]["median"] < 1e10  # bytes
    assert huge["variants"] == {} and any("huge: left out" in text for text in said)
    assert "| small |" in render(report)
