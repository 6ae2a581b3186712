"""`crm bench`: every figure beside its ceiling from the same run."""

import rich_click as click


@click.command("bench")
def command() -> None:
    """Measure."""
