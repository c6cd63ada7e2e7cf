# SPDX-License-Identifier: MIT
"""Letting each call of a program fail, one run for each place that makes it."""

import concurrent.futures
import subprocess


def fail_each(known, waiting, fail, is_full):
    """Calls fail(site, is_lasting) for each pair of `waiting`, two at a time. It returns the sites that
    its run came by; in a full run those that are not `known` fail next. Prints what went wrong;
    returns how many sites, runs and faults there were."""
    seen, tried, faults = set(known), 0, []
    while waiting:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            jobs = {pool.submit(fail, *each): each for each in waiting}
            waiting = []
            for job, each in jobs.items():
                tried += 1
                try:
                    found = set(job.result()) - seen
                except (AssertionError, OSError, ValueError, subprocess.TimeoutExpired) as error:
                    faults.append((each, str(error)[:3000]))
                    continue
                seen |= found
                waiting += [(site, False) for site in found] if is_full else []
    for fault in faults:
        print(*fault, sep="\n")
    return len(seen), tried, len(faults)
