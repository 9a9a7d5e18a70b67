"""What `memfis doctor` says, as the play shows it."""

import json


def doctor_advice(answer):
    """Return a line for every finding of `memfis doctor --json`, and the sysctls to raise.

    `answer` is the command's result. What the sysctls mend is no finding.
    """
    try:
        told = json.loads(answer.get("stdout") or "")
    except ValueError:
        said = answer.get("stderr") or answer.get("msg") or "memfis doctor said nothing"
        return {"findings": [said], "sysctls": {}}
    findings = []
    for finding in told["findings"]:
        if finding["status"] == "ok" or finding["check"] == "inotify":
            continue
        line = "{subject}: {check}: {message}".format(**finding)
        if finding.get("examples"):
            line += f" ({', '.join(finding['examples'])})"
        if finding.get("advice"):
            line += f" -> {finding['advice']}"
        findings.append(line)
    return {"findings": findings, "sysctls": told["inotify"]["advised"]}


def not_raised(results):
    """Return a line for every sysctl that could not be written, with tee's reason.

    `results` are those of a loop over the sysctls of `doctor_advice`.
    """
    return [
        f"{result['item']['key']} cannot be raised to {result['item']['value']}:"
        f" {result['stderr'].rpartition(': ')[2].strip()}; until the host of a container sets it,"
        " changes in the sites are found late"
        for result in results
        if result.get("rc")
    ]


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Return the filters by name."""
        return {
            "doctor_advice": doctor_advice,
            "not_raised": not_raised,
        }
