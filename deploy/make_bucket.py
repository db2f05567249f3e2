"""Make the bucket of `REGIME_ASSETS_STORAGE`, unless it is there."""

import os
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError

name = urlsplit(os.environ["REGIME_ASSETS_STORAGE"]).netloc
client = boto3.client("s3")
try:
    client.head_bucket(Bucket=name)
except ClientError:
    client.create_bucket(Bucket=name)
