"""The commands of `fmload`: one file each with `add_arguments(parser)` and `run(args)`, a line in `fmload.plugins`."""

# So that `fmload --help` imports no command. One of another distribution says it in its first line.
HELP = {
    "run": "deploy, load, analyse, report: the whole line",
    "init": "write a run file that works",
    "validate": "check a run file and show the plan",
    "prompts": "prepare the prompt sets and show their lengths",
    "emulate": "serve an emulated endpoint",
    "report": "render the report of a results folder",
    "audit": "check the numbers of a results folder or a published file",
    "compare": "compare results folders",
    "import": "bring in another tool's results, as published beside as corrected",
    "capacity": "plan how many replicas a demand needs, and what they cost",
    "prices": "show or refresh the price table",
    "deploy": "plan, check, policy, up, status, down, sweep",
    "fleet": "hosts for the load, with one run: plan, run, up, status, results, down",
    "evaluate": "score the kept answers",
    "selftest": "what this machine's client can measure",
    "help": "the pages of the documentation, and the options of a command",
}
