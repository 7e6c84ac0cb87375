"""passing.py QMP: has a QEMU take descriptor 3 as what its chardev c0 is connected to.

QMP is the path of its monitor's socket.
"""
import json
import socket
import sys

monitor = socket.socket(socket.AF_UNIX)
monitor.settimeout(60)
monitor.connect(sys.argv[1])
answers = monitor.makefile()
answers.readline()  # the greeting


def execute(command, fds=(), **arguments):
    request = json.dumps({"execute": command, "arguments": arguments}).encode()
    socket.send_fds(monitor, [request], list(fds))
    while True:
        answer = json.loads(answers.readline())
        if "error" in answer:
            sys.exit(f"{command}: {answer}")
        if "return" in answer:
            return


execute("qmp_capabilities")
execute("getfd", [3], fdname="console")
execute("add_client", protocol="c0", fdname="console")
