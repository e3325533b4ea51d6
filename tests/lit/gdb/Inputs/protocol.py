"""protocol.py MODEL.elf: lutrun --gdb, and a client that says what gdb would not say."""
import os, re, socket, subprocess, sys, tempfile, time

elf = sys.argv[1]


class Client:
    """lutrun, and a connection to it."""

    def __init__(self, *arguments, path=None):
        self.lutrun = subprocess.Popen(["lutrun", elf, "-d", "T=4", "--gdb", path or "0", *arguments],
                                       text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.lutrun.stderr.readline()
        match = re.fullmatch(r"waiting for gdb: target remote (localhost:(\d+)|(/.*))\n", line)
        assert match, line
        if path:
            assert match[3] == path
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(path)
        else:
            self.socket = socket.create_connection(("127.0.0.1", int(match[2])))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(60)
        self.ack = True

    def send(self, data):
        self.socket.sendall(data)

    def byte(self):
        data = self.socket.recv(1)
        assert data, "the connection ended"
        return data

    def packet(self):
        """The next packet's data; acknowledged."""
        assert self.byte() == b"$"
        data = b""
        while (c := self.byte()) != b"#":
            data += c
        assert int(self.byte() + self.byte(), 16) == sum(data) % 256
        if self.ack:
            self.send(b"+")
        return data.decode("latin1")

    def start(self, data):
        data = data.encode("latin1")
        self.send(b"$%s#%02x" % (data, sum(data) % 256))
        if self.ack:
            assert self.byte() == b"+"

    def ask(self, data, expected=None):
        self.start(data)
        answer = self.packet()
        assert expected is None or re.fullmatch(expected, answer), (data, answer)
        return answer

    def end(self, code, pattern=""):
        out, err = self.lutrun.communicate(timeout=60)
        assert self.lutrun.returncode == code and re.search(pattern, err), (out, err)
        self.socket.close()
        return out


def acknowledgements():
    c = Client("-e", "leave")
    c.send(b"$?#00")  # a wrong checksum
    assert c.byte() == b"-"
    c.send(b"noise$?#3f")
    assert c.byte() == b"+"
    first = c.packet()
    assert re.fullmatch(r"T05thread:1;20:[0-9a-f]{16};", first)
    c.send(b"-")  # once more
    assert c.packet() == first
    c.send(b"$m1$?#3f")  # a packet that begins anew
    assert c.byte() == b"+" and c.packet() == first
    c.send(b"$" + b"a" * 40000 + b"#%02x" % (97 * 40000 % 256))  # too long
    assert c.byte() == b"-"
    c.ask("QStartNoAckMode", "OK")
    c.ack = False
    c.ask("qSupported:swbreak+", r"PacketSize=4000;.*")
    c.ask("vMustReplyEmpty", "")
    c.ask("vCont?", "vCont;c;C;s;S;r")
    c.ask("vCont;c:1", "W09")
    c.end(9)


def arguments():
    c = Client("-e", "leave")
    for wrong in ("p", "pxx", "p0x", "pffffffff", "p10000000000000020", "P0", "P20=01", "P0=00", "G00",
                  "m1", "mfoo,4", "m0,", "M10000,2", "M0,fffffffffffffff0:00", "M11000,2:0",
                  "Z0,1", "Z0,11000", "Z2,11000,0", "Z2,ffffffffffffffff,8", "vCont;x", "vCont;r5",
                  "qXfer:features:read:target.xml:1", "qRcmd,zz", "c1", "s11001", "Cxx"):
        c.ask(wrong, "E16|E0e")
    for unknown in ("Z9,0,0", "qXfer:nothing:read::0,10", "vFile:open:00", "R00", "!"):
        c.ask(unknown, "")
    c.ask("m0,4", "E0e")
    c.ask("M0,1:00", "E0e")
    # Reads end where memory ends, or where the packet is full.
    pc = int.from_bytes(bytes.fromhex(c.ask("p20")), "little")
    page = pc & ~0xfff
    assert len(c.ask(f"m{page:x},ffffffff")) == 2 * 4096
    assert c.ask(f"x{page:x},10")[0] == "b"
    word = c.ask(f"m{pc:x},4", "[0-9a-f]{8}")
    c.ask(f"M{pc:x},4:00000000", "OK")
    c.ask(f"m{pc:x},4", "0{8}")
    c.ask(f"X{pc:x},4:" + bytes.fromhex(word).decode("latin1").replace("}", "}]"), "OK")
    c.ask(f"m{pc:x},4", word)
    # Objects come in parts that fit together.
    whole, part = "", "m"
    while part[0] == "m":
        part = c.ask(f"qXfer:features:read:target.xml:{len(whole):x},123")
        whole += part[1:]
    assert whole.endswith("</target>\n") and 'name="lt31"' in whole
    c.ask("qXfer:features:read:target.xml:fffffff,10", "l")
    assert c.ask("qXfer:exec-file:read:1:0,fff") == "l" + os.path.realpath(elf)
    for i in range(1024):
        c.ask(f"Z0,{2 * i:x},2", "OK")
    c.ask("Z0,800,2", "E16")
    c.ask("Z0,0,2", "OK")  # is there already
    c.ask("D", "OK")
    c.end(9)


def interrupt():
    c = Client("-e", "spin")
    c.start("c")
    time.sleep(0.2)
    c.send(b"\3")
    assert c.packet().startswith("T02")
    pc = c.ask("p20")
    c.ask("s", "T05.*")
    c.ask("p20", pc)  # `spin` jumps to itself
    c.start("vCont;c")
    time.sleep(0.1)
    c.send(b"\3")
    assert c.packet().startswith("T02")
    c.start("k")
    c.end(137, r"ended by an observer \(--gdb, --plugin\) at spin")


def gone():
    c = Client("-e", "spin")
    c.start("c")
    time.sleep(0.1)
    c.socket.close()
    c.end(137, "ended by an observer")
    c = Client("-e", "spin")
    c.socket.close()
    c.end(137, "ended by an observer")


def faults():
    c = Client("-e", "crash")
    t0 = c.ask("c", "T0b.*") and c.ask("p5")
    c.ask("c", "T0b.*")  # without the signal: tried again
    stack = c.ask("p2")
    assert t0 == c.ask("p5") != stack
    lower = int.from_bytes(bytes.fromhex(stack), "little") - 4096
    c.ask("P5=" + lower.to_bytes(8, "little").hex(), "OK")  # where it may write
    c.ask("c", "W00")
    c.end(0)
    c = Client("-e", "crash")
    c.ask("c", "T0b.*")
    c.ask("C0b", "X0b")
    c.end(139, "SIGSEGV")


def limits():
    c = Client("-e", "spin", "--max-instructions", "100")
    c.ask("c", "W98")
    c.end(152, "max-instructions")
    c = Client("-e", "leave", "--timeout", "1")
    time.sleep(1.2)  # gdb's time is not the program's
    c.ask("c", "W09")
    c.end(9)


def paths():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        c = Client("-e", "leave", path=path)
        c.ask("c", "W09")
        c.end(9)
        assert not os.path.exists(path)
        open(path, "w").close()
        refused = subprocess.run(["lutrun", elf, "-d", "T=4", "-e", "leave", "--gdb", path],
                                 capture_output=True, text=True)
        assert refused.returncode == 1 and "Address already in use" in refused.stderr, refused
        assert os.path.exists(path)  # it is not ours
    busy = socket.create_server(("127.0.0.1", 0))
    port = str(busy.getsockname()[1])
    refused = subprocess.run(["lutrun", elf, "-d", "T=4", "-e", "leave", "--gdb", port],
                             capture_output=True, text=True)
    assert refused.returncode == 1 and "Address already in use" in refused.stderr, refused


for scenario in (acknowledgements, arguments, interrupt, gone, faults, limits, paths):
    scenario()
