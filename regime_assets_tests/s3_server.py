"""An S3 server of the tests' own that checks signatures, and one user of it who may write to one bucket."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

SETUP_CALLS = 4
"""Calls that the server takes before it checks who asks: those that make the bucket and the user."""


@contextmanager
def s3_server(bucket: str) -> Generator[dict[str, str]]:
    """Start a server with an empty bucket; give the environment in which its user reaches it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    # Only what is refused is logged, and only to nowhere: the server prints each request.
    environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(SETUP_CALLS)}
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not _answers(port):
            assert server.poll() is None, "moto ended"
            assert time.monotonic() < deadline, "moto did not answer"
            time.sleep(0.1)
        yield {"AWS_ENDPOINT_URL": address, "AWS_REGION": "us-east-1", **_user(address, bucket)}
    finally:
        server.terminate()
        server.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _user(address: str, bucket: str) -> dict[str, str]:
    import boto3

    anybody = {"aws_access_key_id": "setup", "aws_secret_access_key": "setup", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=address, **anybody).create_bucket(Bucket=bucket)
    iam = boto3.client("iam", endpoint_url=address, **anybody)
    iam.create_user(UserName="desk")
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="desk", PolicyName="files", PolicyDocument=json.dumps(everything))
    key = iam.create_access_key(UserName="desk")["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
