// Keeps the page fresh: when the box says that something changed, this page is fetched again and the parts
// marked data-live are brought up to date in place. Without this script everything works, only less lively.
(() => {
  'use strict';
  const still = document.body.hasAttribute('data-still');
  const EVENTS = ['receipt', 'line', 'provider', 'suppressed', 'more'];
  const PAUSE = document.body.classList.contains('demo') ? 450 : 1500;
  let stream, timer, busy = false, missed = false, pressed = false, last = 0, lost = false;

  const key = node => node.nodeType === 1 ? node.getAttribute('data-key') : null;

  // A frame is exchanged when the new one has loaded, so that nothing flickers.
  function glaze(now, next) {
    const fresh = next.querySelector('iframe');
    now.setAttribute('data-frame', next.getAttribute('data-frame'));
    if (!fresh) return;
    const old = [...now.querySelectorAll('iframe')];
    const frame = document.importNode(fresh, true);
    frame.classList.add('coming');
    frame.addEventListener('load', () => { old.forEach(o => o.remove()); frame.classList.remove('coming'); }, { once: true });
    now.append(frame);
  }

  // Makes `now` like `next` with as few changes as it takes: what has the focus stays where it is.
  function morph(now, next) {
    if (now.isEqualNode(next)) return;
    if (now.nodeType !== next.nodeType || now.nodeName !== next.nodeName || key(now) !== key(next)) {
      now.replaceWith(document.importNode(next, true));
      return;
    }
    if (now.nodeType !== 1) { now.nodeValue = next.nodeValue; return; }
    if (now.hasAttribute('data-frame') && next.hasAttribute('data-frame')) {
      if (now.getAttribute('data-frame') !== next.getAttribute('data-frame')) glaze(now, next);
      return;
    }
    for (const a of [...now.attributes]) if (!next.hasAttribute(a.name) && a.name !== 'open') now.removeAttribute(a.name);
    for (const a of next.attributes) if (now.getAttribute(a.name) !== a.value) now.setAttribute(a.name, a.value);
    children(now, next);
  }

  function children(now, next) {
    const named = new Map([...now.childNodes].filter(key).map(n => [key(n), n]));
    let at = now.firstChild;
    for (const want of [...next.childNodes]) {
      const same = key(want) ? named.get(key(want)) : at && !key(at) ? at : null;
      if (same) {
        if (same === at) at = at.nextSibling; else now.insertBefore(same, at);
        named.delete(key(same));
        morph(same, want);
      } else {
        now.insertBefore(document.importNode(want, true), at);
      }
    }
    while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
  }

  function take(html) {
    const page = new DOMParser().parseFromString(html, 'text/html');
    if (page.body.hasAttribute('data-still')) return;
    document.body.className = page.body.className;
    for (const part of document.querySelectorAll('[data-live]')) {
      const next = page.querySelector(`[data-live="${part.getAttribute('data-live')}"]`);
      if (next) morph(part, next);
    }
    remind();
  }

  async function refresh() {
    timer = undefined;
    if (busy || pressed || document.hidden) { missed = true; return; }
    busy = true;
    missed = false;
    try {
      const answer = await fetch(location.href, { cache: 'no-store' });
      if (answer.ok) take(await answer.text());
    } catch { /* the stream tells when the box is back */ }
    busy = false;
    last = performance.now();
    if (missed) later();
  }

  function later(wait = PAUSE) {
    if (still || timer) return;
    timer = setTimeout(refresh, Math.max(120, wait - (performance.now() - last)));
  }

  // What will have changed by itself after a while.
  let reminder;
  function remind() {
    clearTimeout(reminder);
    const waits = [...document.querySelectorAll('[data-again]')].map(e => +e.getAttribute('data-again'));
    if (waits.length) reminder = setTimeout(later, Math.min(...waits));
  }

  function listen() {
    if (still || stream || document.hidden) return;
    stream = new EventSource('/stream');
    for (const name of EVENTS) stream.addEventListener(name, () => later());
    stream.addEventListener('error', () => { lost = true; });
    stream.addEventListener('open', () => { if (lost) { lost = false; later(); } });
  }

  function hush() {
    stream?.close();
    stream = undefined;
    lost = true; // what happens meanwhile is seen when it opens again
  }

  // Two taps are one.
  function tapped(event) {
    const form = event.target;
    if (event.defaultPrevented || form.method !== 'post') return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = '1';
    setTimeout(() => delete form.dataset.sent, form.dataset.quiet === undefined ? 5000 : 350);
    if (form.dataset.quiet !== undefined) { event.preventDefault(); quietly(form); }
  }

  // A form that leads back to this page need not load it anew.
  async function quietly(form) {
    try {
      const answer = await fetch(form.action, { method: 'POST', body: new URLSearchParams(new FormData(form)) });
      if (!answer.ok) { location.reload(); return; }
      later(0);
    } catch { form.submit(); }
  }

  document.addEventListener('submit', tapped);
  document.addEventListener('pointerdown', () => { pressed = true; });
  for (const name of ['pointerup', 'pointercancel']) {
    document.addEventListener(name, () => setTimeout(() => { pressed = false; if (missed) later(); }, 300));
  }
  document.addEventListener('visibilitychange', () => { if (document.hidden) hush(); else { listen(); if (missed) later(); } });
  addEventListener('pagehide', hush);
  addEventListener('pageshow', event => {
    document.querySelectorAll('form[data-sent]').forEach(form => delete form.dataset.sent);
    listen();
    if (event.persisted) later();
  });
  remind();
})();
