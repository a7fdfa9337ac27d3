"""A web server's certificate for 127.0.0.1 and localhost, and the authority that signed it, which nobody else believes."""

import pathlib
import shutil
import subprocess


class Certificate:
    """Files in PEM below `folder`: authority, chain, key."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.authority = self.folder / "authority.pem"
        self.chain = self.folder / "chain.pem"
        self.key = self.folder / "key.pem"
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        self._openssl(
            *("req", "-x509", *new_key, "-subj", "/CN=interop authority", "-days", "10"),
            *("-addext", "keyUsage=critical,keyCertSign", "-keyout", "authority.key", "-out", "authority.pem"),
        )
        self._openssl("req", *new_key, "-subj", "/CN=interop node", "-keyout", "key.pem", "-out", "node.csr")
        (self.folder / "node.ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n")
        self._openssl(
            *("x509", "-req", "-in", "node.csr", "-CA", "authority.pem", "-CAkey", "authority.key", "-set_serial", "2"),
            *("-days", "9", "-extfile", "node.ext", "-out", "chain.pem"),
        )
        self.key.chmod(0o600)

    def _openssl(self, *command):
        subprocess.run(["openssl", *command], cwd=self.folder, check=True, capture_output=True)

    def flags(self):
        return [
            *("--tls-certificate", str(self.chain), "--tls-key", str(self.key)),
            *("--tls-authorities", str(self.authority)),
        ]


def make_certificate(folder):
    """Nothing where openssl is not installed."""
    return Certificate(folder) if shutil.which("openssl") is not None else None
