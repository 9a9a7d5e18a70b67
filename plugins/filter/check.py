"""What `memfis check` says, as a play ends with it."""

import json


def told(answer, seconds):
    """Return the `lines` that sum up a play of so many seconds, and the `problems` it found.

    `answer` is the result of `memfis check --json`.
    """
    try:
        found = json.loads(answer.get("stdout") or "")
    except ValueError:
        said = answer.get("stderr") or answer.get("msg") or "memfis check said nothing"
        return {"lines": [], "problems": [said.strip()]}
    lines = [_line(site) for site in found["sites"] if site["url"]]
    lines += [f"nginx warns: {warning}" for warning in found["warnings"]]
    problems = [f"{site['site']}: {each}" for site in found["sites"] for each in site["problems"]]
    if found["sites"] and not problems:
        lines.append(f"took {seconds:.0f} s; what is changed in a web root is served at once")
    return {"lines": lines, "problems": problems}


def _line(site):
    """Return what came of one site: URL, HIT or FALLBACK and why, pages, reader."""
    words = [site["served_by"], "" if site["status"] == 200 else str(site["status"] or "no answer")]
    came = " ".join(filter(None, words)) or "200"
    why = f" ({site['why']})" if site["why"] else ""
    pages = "1 page" if site["pages"] == 1 else f"{site['pages']} pages"
    reader = site.get("from_memory", "off")  # an older agent does not say it
    read_by = "" if reader == "off" else f", read by {reader}"
    return f"{site['url']}  {came}{why}, {pages}{read_by}"


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Return the filters by name."""
        return {"told": told}
