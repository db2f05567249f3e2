"""Run one session of one universe in two processes at the same time, and see what both say and what is stored.

    python -m benchmarks.two_runs_at_once --rounds 3

What is stored afterwards must be that of one undisturbed run, to the bit; each process succeeds, or says in a sentence
why it did not. Answers that both give are one answer: the log keeps equal ones once.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.session_folders import (
    BEFORE,
    FORK,
    copy_of,
    differences,
    in_a_process,
    made,
    run_and_listen,
    stores,
    undisturbed,
)


def both(root: Path) -> list[tuple[str, list[str]]]:
    """Start the session twice; how each run ended, and what it said."""
    pipes = [FORK.Pipe(duplex=False) for _ in range(2)]
    runs = [FORK.Process(target=tell, args=(sender, root)) for _, sender in pipes]
    for run in runs:
        run.start()
    for _, sender in pipes:
        sender.close()
    told: list[tuple[str, list[str]]] = []
    for receiver, _ in pipes:
        try:
            told.append(receiver.recv())
        except EOFError:
            told.append(("fault", ["the process died"]))
    for run in runs:
        run.join()
    return told


def tell(sender: object, root: Path) -> None:
    """Run the session, and send how it ended."""
    ended, said, _ = run_and_listen(root)
    sender.send((ended, said))  # type: ignore[attr-defined]


def main() -> None:
    """Run both, compare, and print a row a round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = made(Path(scratch) / "before", BEFORE)
        after, ignored = undisturbed(root)
        print("| round | first | second | same bits as one run |\n|---|---|---|---|", flush=True)
        for number in range(1, chosen.rounds + 1):
            shared = copy_of(root, "shared")
            (first, first_said), (second, second_said) = both(shared)
            _, found = in_a_process(stores, shared)
            other = differences(found, after, ignored) if found else ["the stores cannot be read"]
            print(f"| {number} | {first} | {second} | {not other} |", flush=True)
            for line in (*first_said, *second_said, *other):
                print(f"    {line}", flush=True)


if __name__ == "__main__":
    main()
