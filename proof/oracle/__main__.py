"""`python3 -m oracle COMMAND`: drive writers, inject divergence, work an inbox off, judge. Lines of JSON.

Exit codes: 0 all as it must be, 1 a promise is broken (each line names one), 2 it could not be judged.
"""

import argparse
import json
import signal
import sys
import threading
import traceback


def arguments():
    parser = argparse.ArgumentParser(prog="oracle")
    parser.add_argument("--world", help="a file that says where everything is")
    parser.add_argument("--seed", type=int, default=1)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("selftest")
    commands.add_parser("create")
    commands.add_parser("drop")
    commands.add_parser("setup")
    commands.add_parser("count")
    sql = commands.add_parser("sql")
    sql.add_argument("context")
    sql.add_argument("statement")
    admin = commands.add_parser("admin")
    admin.add_argument("act", choices=("keep", "put-back", "compact-soon", "await-compaction", "cut-off", "make-anew", "compact-no-more"))
    admin.add_argument("what", help="a context, or a topic")
    settings = commands.add_parser("configure")
    settings.add_argument("topic")
    settings.add_argument("settings", nargs="+", help="name=value")
    commands.add_parser("work")
    drive = commands.add_parser("drive")
    drive.add_argument("--writers", type=int, default=8)
    drive.add_argument("--seconds", type=float, default=0, help="0: until SIGTERM")
    drive.add_argument("--keys", type=int, default=60)
    drive.add_argument("--pause", type=float, default=0.02)
    drive.add_argument("--aborts", type=float, default=0.1)
    drive.add_argument("--savepoints", type=float, default=0.2)
    drive.add_argument("--effective", default="2026-01-02", help="days on which changes take effect, with commas")
    drive.add_argument("--salt", type=int, default=0, help="other acts of the same seed: no act may be written down twice")
    drive.add_argument("--acts", help="a file to which is added what was seen committed")
    flood = commands.add_parser("flood")
    flood.add_argument("--rows", type=int, default=200_000)
    flood.add_argument("--acts")
    flood.add_argument("--table", default="item", help="what the table of items is called now")
    busy = commands.add_parser("busy")
    busy.add_argument("--rate", type=float, required=True, help="changes a second, or as many as arrive")
    busy.add_argument("--rows", type=int, default=20_000)
    inject = commands.add_parser("inject")
    inject.add_argument("kinds", nargs="+")
    inject.add_argument("--quiet-from", type=int, help="only keys that writers of so many keys leave alone")
    inject.add_argument("--avoid", help="a file of answers whose keys are left alone")
    inject.add_argument("--salt", type=int, default=0, help="makes another choice of the same seed")
    poison = commands.add_parser("poison")
    poison.add_argument("kind")
    commands.add_parser("repeat")
    commands.add_parser("contradict")
    hold = commands.add_parser("hold")
    hold.add_argument("--seconds", type=float, required=True)
    judge = commands.add_parser("judge")
    judge.add_argument("--any-sequence", action="store_true", help="rows may be of sequences that no writer knows")
    judge.add_argument("--acts")
    judge.add_argument("--quiet-from", type=int, help="keys that these writers leave alone are held against their sources only")
    judge.add_argument("--compacted", action="store_true", help="superseded records of state may be gone")
    judge.add_argument("--skip", default="", help="checks that cannot hold here, with commas")
    judge.add_argument("--forgive", default="", help="sequences of injected records, with commas")
    blame = commands.add_parser("blame")
    blame.add_argument("report")
    blame.add_argument("answers")
    blame.add_argument("--may", help="a file of answers that may be named, too")
    blame.add_argument("--live", action="store_true", help="a link without a conclusion need name nothing")
    return parser.parse_args()


def answers_of(path):
    if path is None:
        return []
    with open(path, encoding="utf-8") as answers:
        return [json.loads(line) for line in answers]


def quiet_of(args):
    from .estate import quiet_from

    return None if args.quiet_from is None else quiet_from(args.quiet_from)


def say(line):
    print(json.dumps(line, ensure_ascii=False), flush=True)


def main():
    args = arguments()
    if args.command == "selftest":
        from .selftest import run

        controls, failed = run()
        for line in failed:
            say({"failed": line})
        say({"controls": controls, "failed": len(failed)})
        return 1 if failed else 0
    if args.command == "blame":
        from .judge import blame

        with open(args.report, encoding="utf-8") as report:
            return tell(blame(json.load(report), answers_of(args.answers), answers_of(args.may), args.live), {})
    from . import world as worlds

    world = worlds.read(args.world)
    if args.command in ADMINISTRATION:
        return administer(args, world)
    if args.command == "setup":
        worlds.setup(world)
    elif args.command == "drive":
        from .drive import drive

        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        say({"writers": args.writers})
        done = drive(world, args, stop)
        say(done)
        return 1 if done["failures"] else 0
    elif args.command == "flood":
        from .drive import flood

        say(flood(world, args.rows, args.acts, args.table))
    elif args.command == "busy":
        from .busy import busy

        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        busy(world, args.rate, args.rows, stop, say)
    elif args.command == "work":
        from .work import work

        say({"worked": work(world)})
    elif args.command == "inject":
        from .inject import inject

        avoid = [line["key"] for line in answers_of(args.avoid)]
        for line in inject(world, args.seed, args.kinds, quiet_of(args), avoid, args.salt):
            say(line)
    elif args.command == "poison":
        from .inject import poison

        say(poison(world, args.kind))
    elif args.command == "repeat":
        from .inject import repeat

        say(repeat(world))
    elif args.command == "contradict":
        from .inject import contradict

        say(contradict(world))
    elif args.command == "hold":
        from .admin import hold

        hold(world, args.seconds)
    elif args.command == "judge":
        return judged(args, world)
    return 0


ADMINISTRATION = ("create", "drop", "count", "sql", "admin", "configure")


def administer(args, world):
    from . import admin

    if args.command == "create":
        admin.create(world)
    elif args.command == "drop":
        admin.drop(world)
    elif args.command == "count":
        say(admin.count(world))
    elif args.command == "sql":
        say(admin.query(world, args.context, args.statement))
    elif args.command == "configure":
        admin.configure(world, args.topic, dict(setting.split("=", 1) for setting in args.settings))
    else:
        done = getattr(admin, args.act.replace("-", "_"))(world, args.what)
        if done is not None:
            say(done)
    return 0


def judged(args, world):
    from .gather import seen
    from .judge import judge

    forgiven = [int(text) for text in args.forgive.split(",") if text]
    there = seen(world, args.acts, args.compacted, forgiven, quiet_of(args))
    records = sum(len(topic.records) for topic in there.topics.values())
    rows = sum(len(rows) for rows in there.rows.values())
    counted = {"acts": len(there.journal), "records": records, "rows": rows, "inbox": len(there.inbox)}
    found = judge(there, args.skip.split(","))
    if args.any_sequence:
        found = [line for line in found if line["violation"] != "row-sequence"]
    return tell(found, counted)


def tell(violations, counted):
    for line in violations[:50]:
        say(line)
    say({"violations": len(violations)} | counted)
    return 1 if violations else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:  # what cannot be judged is not well
        traceback.print_exc()
        say({"inconclusive": f"{type(error).__name__}: {error}"})
        sys.exit(2)
