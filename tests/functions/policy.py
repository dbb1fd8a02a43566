"""Other policies than the example: its words, with more people, other gates and other rules."""

from __future__ import annotations

from tests.functions.world import ISSUER, example


def person(
    name: str,
    *groups: str,
    mail: bool = True,
    webhook: str | None = None,
    private: bool = False,
    service: bool = False,
) -> str:
    """Return somebody for people.toml, reached by mail unless told otherwise."""
    lines = ["", "[[people]]", f'name = "{name}"', f'issuer = "{ISSUER}"', f'subject = "{name}"']
    lines.append(f"groups = {list(groups)!r}".replace("'", '"'))
    if mail:
        lines.append(f'mail = "{name}@example.com"')
    if webhook is not None:
        secret, own = f"{name}-secret", str(private).lower()
        lines.append(f'webhook = {{ url = "{webhook}", secret = "{secret}", private = {own} }}')
    if service:
        lines.append("service = true")
    return "\n".join(lines) + "\n"


def gate(
    name: str, *, stage: int = 1, quorum: int = 1, expires_after: str = "3d", login: bool = False
) -> str:
    """Return a gate for gates.toml."""
    return (
        f'[{name}]\ntitle = "{name.capitalize()}"\nstage = {stage}\nquorum = {quorum}\n'
        f'expires_after = "{expires_after}"\nlogin = {str(login).lower()}\n\n'
    )


LEAD, FINANCE = gate("lead"), gate("finance", stage=2, expires_after="5d")
OTHERS = gate("policy") + gate("review").replace("[review]", '[review]\nplace = "after_launch"')


def policy(
    *more_people: str,
    lead: str = LEAD,
    finance: str = FINANCE,
    rules: str = "",
    without: tuple[str, ...] = (),
) -> dict[str, str]:
    """Return the example with more people and rules, other gates, or without some of its people."""
    files = example()
    head, *entries = files["people.toml"].split("[[people]]")
    kept = [entry for entry in entries if not any(f'name = "{name}"' in entry for name in without)]
    files["people.toml"] = "[[people]]".join([head, *kept]) + "".join(more_people)
    files["gates.toml"] = lead + finance + OTHERS
    files["policies.cedar"] += rules
    return files


ANOTHER_DEVELOPER = person("eve", "developers")
TWO_MORE_LEADS = person("lead2", "leads") + person("lead3", "leads")
TWO_OF_THREE = policy(TWO_MORE_LEADS, lead=gate("lead", quorum=2))
