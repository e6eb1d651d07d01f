HELP = "Verify."


def command() -> None:
    raise ValueError("not yet")
