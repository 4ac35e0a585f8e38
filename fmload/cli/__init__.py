"""The commands of `fmload`: one file each with `add_arguments(parser)` and `run(args) -> int`, one line here."""

# name: (module, one line of help). Modules are imported when the command is called.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("fmload.cli.run", "deploy, load, analyse, report: the whole line"),
    "init": ("fmload.cli.init", "write a run file that works"),
    "validate": ("fmload.cli.validate", "check a run file and show the plan"),
    "prompts": ("fmload.cli.prompts", "prepare the prompt sets and show their lengths"),
    "emulate": ("fmload.cli.emulate", "serve an emulated endpoint"),
    "report": ("fmload.cli.report", "render the report of a results folder"),
    "audit": ("fmload.cli.audit", "check the numbers of a results folder or a published file"),
    "compare": ("fmload.cli.compare", "compare results folders"),
    "import": ("fmload.cli.import_", "bring in another tool's results, as published beside as corrected"),
    "prices": ("fmload.cli.prices", "show or refresh the price table"),
    "deploy": ("fmload.cli.deploy", "plan, up, status, down, sweep"),
    "evaluate": ("fmload.cli.evaluate", "score the kept answers"),
    "selftest": ("fmload.cli.selftest", "what this machine's client can measure"),
}
