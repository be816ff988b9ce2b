#!/usr/bin/env python3
"""A function behind a webhook: gives every new room a description. Python 3's standard library alone.

    describe_rooms.py --serve PORT     listens on 127.0.0.1; WEBHOOK_SECRET has the webhook's secret
    describe_rooms.py < event.json     the function alone: one CloudEvent in, the reply out
"""
import hashlib
import hmac
import http.server
import json
import os
import sys
import time

SECONDS_OLD_MAX = 300  # An older signature may be a call that somebody recorded and sends again.


def handle(event):
    """The function: what is to be done because of this event. It is asked again when a reply got lost: same event, same answer."""
    room_id = event["subject"].split("-", 1)[1]
    name = event["data"]["name"]
    return {"commands": [{
        "type": "leftfold.rooms.v1.ChangeDescriptionRequest",
        "command": {"room_id": room_id, "description": f"{name}, open to all"},
    }]}


def is_signed(header, body, secret, now):
    """Whether `t=<unix seconds>,v1=<hex>` is the HMAC-SHA256 of "<t>.<body>", made a short while ago."""
    parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    sent = parts.get("t", "")
    if not sent.isdecimal() or abs(now - int(sent)) > SECONDS_OLD_MAX:
        return False
    expected = hmac.new(secret, sent.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), parts.get("v1", "").encode())


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        secret = os.environ["WEBHOOK_SECRET"].encode()
        if not is_signed(self.headers.get("X-Leftfold-Signature", ""), body, secret, time.time()):
            return self.answer(401, {"error": "the signature is not ours"})
        self.answer(200, handle(json.loads(body)))
        print(self.headers["Idempotency-Key"], flush=True)

    def answer(self, status, reply):
        data = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler)
        print(f"listening on {server.server_port}", flush=True)
        server.serve_forever()
    print(json.dumps(handle(json.load(sys.stdin))))
