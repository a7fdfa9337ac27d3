"""A router on loopback, as far as libminiupnpc and libnatpmp need one: it keeps what it was asked to forward, and says so."""

import http.server
import re
import socket
import struct
import threading

OUTER_IP = "203.0.113.9"
SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"
DESCRIPTION = f"""<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor></specVersion>
<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><deviceList>
<device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType><deviceList>
<device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType><serviceList>
<service><serviceType>{SERVICE}</serviceType><serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId>
<controlURL>/control</controlURL><eventSubURL>/event</eventSubURL><SCPDURL>/scpd.xml</SCPDURL></service>
</serviceList></device></deviceList></device></deviceList></device></root>"""


class Upnp:
    """Refuses the port that is in `taken`, and leases that are not permanent where `only_permanent`."""

    def __init__(self, taken=(), only_permanent=False):
        self.taken, self.only_permanent = set(taken), only_permanent
        self.calls = []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def reply(self, status, text):
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.reply(200, DESCRIPTION)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                action = self.headers["SOAPAction"].strip('"').split("#")[1]
                self.reply(*owner.answer(action, dict(re.findall(r"<(New\w+)>([^<]*)</", body))))

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/root.xml"

    def answer(self, action, arguments):
        self.calls.append((action, arguments))
        if action == "GetExternalIPAddress":
            return 200, self.envelope(action, f"<NewExternalIPAddress>{OUTER_IP}</NewExternalIPAddress>")
        if action == "AddPortMapping" and int(arguments["NewExternalPort"]) in self.taken:
            return 500, self.fault(718)
        if action == "AddPortMapping" and self.only_permanent and arguments["NewLeaseDuration"] != "0":
            return 500, self.fault(725)
        return 200, self.envelope(action, "")

    @staticmethod
    def envelope(action, inner):
        return (
            '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
            f'<u:{action}Response xmlns:u="{SERVICE}">{inner}</u:{action}Response></s:Body></s:Envelope>'
        )

    @staticmethod
    def fault(code):
        return (
            '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><detail>'
            f'<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>{code}</errorCode></UPnPError>'
            "</detail></s:Fault></s:Body></s:Envelope>"
        )

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Natpmp:
    """RFC 6886 on 127.0.0.1; OSError where its port is taken."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 5351))
        self.socket.settimeout(0.1)
        self.leases = []  # (inner port, lifetime)
        self.is_over = False

    def serve(self):
        while not self.is_over:
            try:
                request, asker = self.socket.recvfrom(64)
            except TimeoutError:
                continue
            if len(request) == 2:
                self.socket.sendto(struct.pack(">BBHI4s", 0, 128, 0, 1, socket.inet_aton(OUTER_IP)), asker)
            elif len(request) == 12:
                _, kind, _, inner, outer, lifetime = struct.unpack(">BBHHHI", request)
                self.leases.append((inner, lifetime))
                self.socket.sendto(struct.pack(">BBHIHHI", 0, 128 + kind, 0, 1, inner, outer, lifetime // 2), asker)

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.thread.join()
        self.socket.close()
