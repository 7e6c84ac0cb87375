"""serialclient.py URL [loop]: uses a serial port over RFC 2217 as pyserial's users do.

The far side of the port must echo. Each step is told on a line of its own, with
its result; "done" comes last. With loop, RTS and DTR of the port are joined to
its CTS and DSR, as those of pyserial's loop:// are.
"""
import sys
import time

import serial


def step(name, result):
    print(name + ":", result, flush=True)


def wait(name, is_so):
    """Waits until a modem line is as it should be."""
    end = time.time() + 10
    while not is_so():
        if time.time() > end:
            sys.exit(name + " is never so")
        time.sleep(0.02)
    step(name, True)


def main():
    url, loop = sys.argv[1], sys.argv[2:] == ["loop"]
    began = time.time()
    port = serial.serial_for_url(url, baudrate=9600, timeout=10)
    # Most of it pyserial sleeps: 50 ms for each of its settings.
    step("open within 2 s", time.time() - began < 2)

    def echo(data):
        port.write(data)
        return port.read(len(data)) == data

    step("echo", echo(b"hello"))
    step("every byte", echo(bytes(range(256))) and echo(b"\r\n\r\0\xff\xff\r"))
    for baud in (115200, 300, 57600):
        port.baudrate = baud
        step("baud", port.baudrate)
    for bits, parity, stop in ((7, "E", 2), (5, "O", 1.5), (6, "M", 1), (8, "S", 1), (8, "N", 1)):
        port.stopbits = 1  # what a UART has with any number of data bits
        port.bytesize, port.parity, port.stopbits = bits, parity, stop
        step("mode", "%d%s%s" % (port.bytesize, port.parity, port.stopbits))
    for flow in ("rtscts", "xonxoff"):
        setattr(port, flow, True)
        setattr(port, flow, False)
        step(flow, getattr(port, flow))
    step("modem lines", all(line in (True, False) for line in (port.cts, port.dsr, port.ri, port.cd)))
    for value in (False, True):
        port.dtr = port.rts = value
        if loop:
            wait("CTS is %s" % value, lambda: port.cts == value)
            wait("DSR is %s" % value, lambda: port.dsr == value)
    step("dtr, rts", (port.dtr, port.rts))
    port.break_condition = True
    port.break_condition = False
    port.send_break(0.1)
    step("break", port.break_condition)
    port.reset_input_buffer()
    port.reset_output_buffer()
    step("purge", port.in_waiting)
    step("echo again", echo(b"hello again"))
    port.close()
    port.open()
    step("after opening again", echo(b"once more"))
    port.close()
    print("done")


main()
