"""What a run has read or inferred it does not read or infer again, and no reader of it changes it for the next one."""

from __future__ import annotations

from regime_assets.library.window_reads import MOST, WindowReads


def test_what_was_asked_for_last_is_kept_and_kinds_do_not_push_each_other_out() -> None:
    reads, asked = WindowReads(), list[object]()

    def ask(kind: str, key: int) -> int:
        return reads.once(kind, key, lambda: asked.append((kind, key)) or key)  # type: ignore[arg-type,return-value]

    most = MOST["window"]
    for key in range(most):
        ask("window", key)
        ask("features", key)
    ask("window", 0)
    ask("window", most)
    assert len(asked) == 2 * most + 1
    ask("window", 0)
    ask("features", 1)
    assert len(asked) == 2 * most + 1, "both are kept"
    ask("window", 1)
    assert asked[-1] == ("window", 1), "which was not asked for since the first one was asked for again"
