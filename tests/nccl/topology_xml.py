"""Topology XML made acceptable to every release."""
import os
import re


def prepare(text):
    """Complete an XML the way NCCL's own detection would before building its model.

    net: rail and plane default to -1 (undefined), which NCCL >= 2.31 insists on.
    gpu: gdr defaults to 1; when no gpu has a rank, ranks are given in document order.
    cpu: a host_hash that is not a number (masked by whoever published the file) becomes a number, one per distinct text.
    system: version 2 (RCCL's) is read as 1, else NCCL refuses the file."""
    hosts = sorted(set(re.findall(r'\shost_hash="([^"]*)"', text)))
    if any(not re.fullmatch("(0x)?[0-9a-fA-F]+", h) for h in hosts):
        text = re.sub(r'(\shost_hash=")([^"]*)"', lambda m: '%s0x%x"' % (m.group(1), hosts.index(m.group(2)) + 1), text)
    text = re.sub(r'(<system\s+version=)"2"', r'\1"1"', text)

    def default(m, name, value):
        if re.search(r"\s%s=" % name, m):
            return m
        return re.sub(r"\s*(/?)>$", r' %s="%s"\1>' % (name, value), m)

    def net(m):
        return default(default(m.group(0), "rail", -1), "plane", -1)

    text = re.sub(r"<net\s[^>]*>", net, text)
    ranked = re.search(r"<gpu\s[^>]*\srank=", text)
    n = [0]

    def gpu(m):
        s = default(m.group(0), "gdr", 1)
        if not ranked:
            s = default(s, "rank", n[0])
            s = default(s, "dev", n[0])
            n[0] += 1
        return s

    text = re.sub(r"<gpu\s[^>]*>", gpu, text)
    return text


def prepare_file(path, folder):
    """A prepared copy in a folder; returns its path and the host's hash, as NCCL wants it."""
    with open(path) as f:
        text = prepare(f.read())
    prepared = os.path.join(folder, os.path.basename(path))
    with open(prepared, "w") as f:
        f.write(text)
    host = re.search(r"<cpu\s[^>]*host_hash=\"(0x)?([0-9a-fA-F]+)\"", text)
    return prepared, host.group(2) if host else "0"
