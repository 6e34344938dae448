"""A server on 127.0.0.1 that answers as W&B does as far as a run of metrics asks, and keeps the requests."""
import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Recorder:
    def __init__(self):
        self.requests = []
        self.history = {}
        self.summary = {}
        self.lock = threading.Lock()
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def serve(self):
                recorder.serve(self)

            do_GET = do_POST = do_PUT = serve

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def serve(self, handler):
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        if handler.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        try:
            body = json.loads(body)
        except ValueError:
            body = None
        with self.lock:
            answer = self.answer(handler.path, body)
            self.requests.append({
                "method": handler.command,
                "path": handler.path,
                "authorization": handler.headers.get("authorization"),
                "content_type": handler.headers.get("content-type"),
                "body": body,
            })
        data = json.dumps(answer).encode()
        handler.send_response(200)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def answer(self, path, body):
        if path == "/graphql":
            return {"data": self.query(body["query"], body.get("variables") or {})}
        if path.endswith("/file_stream"):
            run = path.split("/")[-2]
            files = body.get("files") or {}
            if "wandb-history.jsonl" in files:
                part = files["wandb-history.jsonl"]
                lines = self.history.setdefault(run, [])
                assert part["offset"] <= len(lines), "a gap in the history"
                lines[part["offset"]:] = part["content"]
            if "wandb-summary.json" in files:
                self.summary[run] = files["wandb-summary.json"]["content"][0]
        return {}

    def query(self, query, variables):
        run = variables.get("name")
        lines = self.history.get(run, [])
        if "upsertBucket" in query:
            project = {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": "someone"}}
            bucket = {
                "id": "r", "name": run, "displayName": variables.get("displayName") or run,
                "description": None, "config": "{}", "sweepName": None, "project": project,
                "historyLineCount": len(lines),
            }
            return {"upsertBucket": {"bucket": bucket, "inserted": not lines}}
        if "createRunFiles" in query:
            files = [{"name": f, "uploadUrl": f"{self.url}/storage/{f}"} for f in variables["files"]]
            return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}
        if "RunResumeStatus" in query:
            bucket = {
                "id": "r", "name": run, "summaryMetrics": self.summary.get(run, "{}"),
                "displayName": run, "logLineCount": 0, "historyLineCount": len(lines),
                "eventsLineCount": 0, "historyTail": json.dumps(lines[-1:]), "eventsTail": "[]",
                "config": "{}", "tags": [], "notes": None, "wandbConfig": "{}",
            } if lines else None
            return {"model": {"id": "p", "name": "p", "entity": {"id": "e", "name": "e"}, "bucket": bucket}}
        if "Viewer" in query:
            return {"viewer": {
                "id": "v", "entity": "someone", "username": "someone", "email": "", "flags": "{}",
                "teams": {"edges": []},
            }}
        return {}
