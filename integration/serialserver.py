"""serialserver.py PORT: pyserial's own example of an RFC 2217 server, on loop://.

The example listens on every address of the host; here it is the loopback only. What
a client sets is told on stderr.
"""
import runpy
import socket
import sys

bind = socket.socket.bind
socket.socket.bind = lambda self, address: bind(self, ("127.0.0.1", address[1]))
example = "/usr/share/doc/python3-serial/examples/rfc2217_server.py"
sys.argv = [example, "-v", "-p", sys.argv[1], "loop://"]
runpy.run_path(example, run_name="__main__")
