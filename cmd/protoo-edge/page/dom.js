// What building a page by hand needs.

export const byId = (id) => document.getElementById(id);

/** An element with properties, attributes and `on…` listeners. Children that are null are left out. */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

export function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  svg.setAttribute('aria-hidden', 'true');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A button's name, for those who see it and those who do not. */
export function label(button, text) {
  button.setAttribute('aria-label', text);
  button.title = text;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text; // a live region speaks whenever it is set
}

/** The first letter of a name on a colour of its own. */
export function paintAvatar(node, name) {
  let hash = 7;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) % 360;
  node.style.setProperty('--hue', hash);
  node.textContent = [...name][0]?.toUpperCase() ?? '';
}

/** Says something to screen readers only. */
export function announce(text) {
  byId('announcer').textContent = text;
}

/** Keeps a list at its end, whatever is added and however high it is, until the reader leaves it. */
export function keepAtEnd(list) {
  let atEnd = true;
  const look = () => { atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40; };
  const follow = () => { if (atEnd) list.scrollTop = list.scrollHeight; };
  list.addEventListener('scroll', look);
  list.addEventListener('toggle', look, true); // of what is opened inside; such events do not bubble
  new ResizeObserver(follow).observe(list);
  new MutationObserver(follow).observe(list, { childList: true });
}

/** Puts a problem beside its field, or takes it away when the text is empty. Of several fields, not all may be wrong. */
export function setProblem(node, text, field, wrong = text) {
  setText(node, text);
  field.setAttribute('aria-invalid', String(Boolean(wrong)));
}
