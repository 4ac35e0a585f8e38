"""The commands of `fmload`: one file each with `add_arguments(parser)` and `run(args) -> int`, one line here."""

# name: (module, one line of help). Modules are imported when the command is called.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("fmload.commands.run", "deploy, load, analyse, report: the whole line"),
    "init": ("fmload.commands.init", "write a run file that works"),
    "validate": ("fmload.commands.validate", "check a run file and show the plan"),
    "prompts": ("fmload.commands.prompts", "prepare the prompt sets and show their lengths"),
    "emulate": ("fmload.commands.emulate", "serve an emulated endpoint"),
    "report": ("fmload.commands.report", "render the report of a results folder"),
    "audit": ("fmload.commands.audit", "check the numbers of a results folder or a published file"),
    "compare": ("fmload.commands.compare", "compare results folders"),
    "import": ("fmload.commands.import_", "bring in another tool's results, as published beside as corrected"),
    "prices": ("fmload.commands.prices", "show or refresh the price table"),
    "deploy": ("fmload.commands.deploy", "plan, up, status, down, sweep"),
    "evaluate": ("fmload.commands.evaluate", "score the kept answers"),
    "selftest": ("fmload.commands.selftest", "what this machine's client can measure"),
}
