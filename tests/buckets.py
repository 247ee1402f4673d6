"""An S3 server on this machine, moto's, with one bucket."""

import logging
import uuid

import pytest

REFUSAL = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class Bucket:
    """A bucket of the server, and what a test may do to it.

    Attributes:
        name: of the bucket.
        url: of the bucket, with a slash at its end.
        requests: methods and paths of all requests so far.
        n_refusals: how many requests the server still refuses as too many.
    """

    def __init__(self, server):
        self.name = f"bucket-{uuid.uuid4().hex[:8]}"
        self.url = f"s3://{self.name}/"
        self.requests = []
        self.n_refusals = 0
        self._server = server
        self._app = server.app

    def __call__(self, environ, start_response):
        """Answer a request, as WSGI applications do."""
        self.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        if self.n_refusals:
            self.n_refusals -= 1
            start_response("503 Slow Down", [("Content-Type", "application/xml")])
            return [REFUSAL]
        return self._app(environ, start_response)

    def __enter__(self):
        import boto3

        self.client = boto3.client("s3")
        self.client.create_bucket(Bucket=self.name)
        self._server.app = self
        return self

    def __exit__(self, *_):
        self._server.app = self._app
        self.client.close()

    def put(self, key, data):
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def get(self, key):
        with self.client.get_object(Bucket=self.name, Key=key)["Body"] as body:
            return body.read()

    def keys(self):
        listed = self.client.list_objects_v2(Bucket=self.name)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def vanish(self):
        for key in self.keys():
            self.client.delete_object(Bucket=self.name, Key=key)
        self.client.delete_bucket(Bucket=self.name)


def start_server():
    """Start moto's server on a free port, and return it."""
    reason = "luxvox[test] brings the server"
    module = pytest.importorskip("moto.server", exc_type=ImportError, reason=reason)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    return server
