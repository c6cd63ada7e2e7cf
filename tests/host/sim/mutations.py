#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants faults in the node, one at a time, and lets the simulation find each: a check that has never
been seen to fail proves nothing. Works in a copy of the checkout.

    tests/host/sim/mutations.py [SEEDS [WORD]]     SEEDS, default 20000: how many may pass before it is
                                                   caught; WORD: only the faults whose name has it

One line each, last line "N passed, N failed". A fault whose place is gone from the sources fails."""

import os
import shutil
import subprocess
import sys
import tempfile

# What is broken, where, from what, to what. The old text stands exactly once in its file.
FAULTS = [
    ("edges are measured against the turn's time", "app/trigger/trigger_line.c",
     "            now_ns = clock_not_before(now_ns, edges[i].timestamp_ns);\n", ""),
    ("resume begins one record late", "net/server/receive.c",
     "conn->position.cursor = wish.from_sequence;", "conn->position.cursor = wish.from_sequence + 1;"),
    ("a GAP ends one record early", "net/server/send.c",
     "return store->oldest - 1;", "return store->oldest - 2;"),
    ("a GAP is never announced", "net/server/send.c",
     "    if (cursor >= store->oldest)\n        return 0;", "    if (cursor >= 1)\n        return 0;"),
    ("skipped counts one too many", "net/server/send.c",
     "record->frame_id - conn->position.last_frame_id - 1 : 0;",
     "record->frame_id - conn->position.last_frame_id : 0;"),
    ("skipped is not reset by a GAP", "net/server/send.c",
     "position->has_baseline ? position->last_frame_id + frames - position->frames : frames;",
     "position->has_baseline ? position->last_frame_id : frames;"),
    ("a withdrawn choice keeps its position", "net/server/send.c",
     "    conn->position = conn->position_before;\n", ""),
    ("policy latest drops events", "net/server/send.c",
     "if (conn->policy == WIRE_POLICY_LATEST && record->is_frame && record != newest)",
     "if (conn->policy == WIRE_POLICY_LATEST && record != newest)"),
    ("a long message goes on in the wrong block", "net/server/send.c",
     "        conn->block_index++;\n", ""),
    ("a sent record is never released", "net/server/send.c", "    store_ref(record);\n",
     "    store_ref(record);\n    store_ref(record);\n"),
    ("the send deadline is not kept", "net/server/serve.c",
     "if (now_ns - conn->progress_ns >= server->config.send_deadline_ns) {",
     "if (now_ns - conn->progress_ns >= 100 * server->config.send_deadline_ns) {"),
    ("silent connections stay", "net/server/serve.c",
     "now_ns - conn->accepted_ns >= SERVER_HANDSHAKE_NS",
     "now_ns - conn->accepted_ns >= 9 * SERVER_HANDSHAKE_NS"),
    ("accepting does not go on after EMFILE", "net/server/listen.c",
     "    listener->is_paused = true;\n", ""),
    ("a record is evicted that is still needed", "net/server/store.c",
     "    store->oldest++;\n", "    store->oldest += 2;\n"),
    ("a block leaks", "net/server/store.c", "    store->blocks_free += count;\n",
     "    store->blocks_free += count - 1;\n"),
    ("frames are numbered twice", "net/server/store.c",
     "fields->frame_id = store->next_frame_id++;", "fields->frame_id = store->next_frame_id;"),
    ("a trigger is MATCHED and has an event", "app/node_trigger.c",
     "        if (outcome.outcome == WIRE_OUTCOME_MATCHED)\n            continue;\n", ""),
    ("outcomes of one kind are lost", "app/node_trigger.c",
     "if (outcome.outcome == WIRE_OUTCOME_MATCHED)", "if (outcome.outcome != WIRE_OUTCOME_MISSED)"),
    ("a run of outcomes loses its last trigger", "app/node_trigger.c",
     ".last = outcome.last_id,", ".last = outcome.last_id - (outcome.last_id > outcome.first_id),"),
    ("a refused frame does not fail its trigger", "app/node_encode.c",
     "    encode->metrics->dropped_busy++;\n    if (source->decision.verdict == TRIGGER_ANSWER)",
     "    encode->metrics->dropped_busy++;\n    if (0)"),
    ("a refused frame is not released", "app/node_encode.c",
     "                             source->frame.sensor_sequence);\n"
     "    encode->camera->release(&source->frame);",
     "                             source->frame.sensor_sequence);\n"
     "    if (source->decision.verdict != TRIGGER_ANSWER)\n"
     "        encode->camera->release(&source->frame);"),
    ("a held frame is not aborted", "app/node_encode.c",
     "        else\n            store_abort(encode->store, held.record);", ""),
    ("the wrong frame is described", "app/node_encode.c",
     "        .sensor_sequence = frame->sensor_sequence,\n        .width",
     "        .sensor_sequence = frame->sensor_sequence + 1,\n        .width"),
    ("a trigger's deadline is not looked at", "app/trigger/trigger_ring.c",
     "entry->target_ns + t->config.deadline_ns <= now_ns)",
     "entry->target_ns + t->config.deadline_ns <= now_ns && t->config.is_on && 0)"),
    ("an outcome is counted twice", "app/trigger/trigger_ring.c",
     "        t->counters.outcomes[source][outcome]++;\n        return id;",
     "        t->counters.outcomes[source][outcome] += 2;\n        return id;"),
    ("the stall timer is not armed again", "app/node_camera.c",
     "    loop_timer_set(camera->loop, camera->timer, supervisor_deadline(&camera->supervisor));\n}",
     "    (void)camera;\n}"),
    ("the queue gives up an answer", "app/frame_queue.c",
     "if (queue->waiting[i].decision.verdict == TRIGGER_ANSWER)", "if (0)"),
    ("the queue loses what it displaces", "app/frame_queue.c",
     "    return has_lost;", "    return false;"),
    ("no role is too low for a request", "net/server/role.c",
     "    if (conn->role >= needed)\n", "    if (conn->role >= WIRE_ROLE_NONE)\n"),
    ("to see is enough to trigger", "net/server/role.c",
     "    case WIRE_TYPE_TRIGGER: needed = WIRE_ROLE_CONTROL; break;",
     "    case WIRE_TYPE_TRIGGER: needed = WIRE_ROLE_VIEW; break;"),
    ("a wrong proof passes", "net/server/role.c",
     "    if (!is_view && !is_control) {", "    if (!is_view && !is_control && 0) {"),
    ("the key to see gives control", "net/server/role.c",
     "is_control ? WIRE_ROLE_CONTROL : WIRE_ROLE_VIEW;", "WIRE_ROLE_CONTROL;"),
    ("PING keeps a stranger's place", "net/server/receive.c",
     "if (conn->role > WIRE_ROLE_NONE)", "if (conn->role >= WIRE_ROLE_NONE)"),
    ("other hosts count as this one", "net/server/serve.c",
     "origin.is_local ? server->config.local : server->config.anonymous", "server->config.local"),
    ("the uplink is never dialled again", "net/server/uplink.c",
     "    uplink->conn = NULL;\n    retry_later(server, now_ns);",
     "    uplink->conn = NULL;\n    (void)now_ns;"),
    ("the uplink's pause is not reset", "net/server/uplink.c",
     "    if (!uplink->was_mute)\n        uplink->pause_ns = SERVER_UPLINK_PAUSE_NS;\n", ""),
    ("the uplink's pause does not grow", "net/server/uplink.c",
     "base_min_u64(2 * uplink->pause_ns, SERVER_UPLINK_PAUSE_MAX_NS)", "uplink->pause_ns"),
    ("the uplink's pause grows for ever", "net/server/uplink.c",
     "base_min_u64(2 * uplink->pause_ns, SERVER_UPLINK_PAUSE_MAX_NS)", "2 * uplink->pause_ns"),
    ("an uplink that hangs is not given up", "net/server/uplink.c",
     "    loop_timer_set(server->loop, uplink->timer, now_ns + CONNECT_DEADLINE_NS);\n}\n\n"
     "/** The name",
     "    loop_timer_set(server->loop, uplink->timer, NS_NEVER);\n}\n\n/** The name"),
    ("a refused uplink counts as connected", "net/server/uplink.c",
     "    if (error != 0) {\n", "    if (error != 0 && 0) {\n"),
    ("an uplink begins where it likes", "net/server/receive.c",
     "        conn->position.cursor = wish.from_sequence;\n    // A newest",
     "        conn->position.cursor = wish.from_sequence + (conn->on_end != NULL);\n    // A newest"),
    ("an uplink proves another secret", "net/server/role.c",
     "        net_secret_prove(&server->uplink.secret,",
     "        net_secret_prove(&server->control_key,"),
    ("an uplink's proof is for everybody", "net/server/role.c",
     "    if (conn != server->uplink.conn)\n", "    if (conn == NULL)\n"),
    ("an uplink has the role of a stranger", "net/server/serve.c",
     "conn->role = WIRE_ROLE_CONTROL; // whom", "conn->role = server->config.anonymous; // whom"),
    ("a lost file of the Unix socket is not made again", "net/server/listen.c",
     "if (!is_file_there(listener))", "if (!is_file_there(listener) && now_ns == 0)"),
    ("requests cost a hundred times what they should", "net/server/receive.c",
     "NS_PER_S / conn->server->config.command_rate", "100 * NS_PER_S / conn->server->config.command_rate"),
    ("timers of the uplink's turn get an old time", "hal/os/loop.c",
     "        now_ns = run_late_descriptors", "        (void)run_late_descriptors"),
]


def plant(root, fault):
    _, name, old, new = fault
    path = os.path.join(root, name)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text.count(old) != 1:
        return None
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))
    return path, text


def simulate(root, seeds):
    """The number of the first seed that fails, or None."""
    step = 250
    for first in range(1, seeds + 1, step):
        done = subprocess.run(["build/release/tests/sim/sim", str(first), str(step), "2"], cwd=root,
                              capture_output=True, text=True, check=False, timeout=600)
        if done.returncode != 0:
            seed = [line.split()[2] for line in done.stderr.splitlines() if line.startswith("FAILED seed")]
            return min(map(int, seed)) if seed else first
    return None


def build(root):
    return subprocess.run(["make", "-s", "build/release/tests/sim/sim"], cwd=root, check=False,
                          capture_output=True, text=True)


def main():
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    word = sys.argv[2] if len(sys.argv) > 2 else ""
    caught = missed = 0
    with tempfile.TemporaryDirectory(prefix="pinhole-mutations-") as root:
        subprocess.run(f"git ls-files -co --exclude-standard -z | xargs -0 cp --parents -t {root}",
                       shell=True, check=True)
        if os.path.isdir("build/release"):
            shutil.copytree("build/release", f"{root}/build/release", dirs_exist_ok=True)
        build(root).check_returncode()
        for fault in (fault for fault in FAULTS if word in fault[0]):
            planted = plant(root, fault)
            found, why = None, "its place is gone from the sources"
            if planted is not None:
                done = build(root)
                why = "does not compile:\n" + done.stderr[-800:]
                if done.returncode == 0:
                    found, why = simulate(root, seeds), f"not caught by {seeds} seeds"
                with open(planted[0], "w", encoding="utf-8") as file:
                    file.write(planted[1])
            caught += found is not None
            missed += found is None
            print(f"{'ok     ' if found else 'FAILED '} {fault[0]}: "
                  f"{f'caught by seed {found}' if found else why}", flush=True)
    print(f"{caught} passed, {missed} failed")
    return missed != 0


if __name__ == "__main__":
    sys.exit(main())
