/**
 * Building and updating elements. Text always goes in as text, never as markup: ids and names come from
 * records that anybody may have written.
 */

/** The element with this id, which the page has. */
export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page lacks #${id}`);
  return element;
}

/** An element: attributes (`class`, `data-…`, `on…` as listeners), then children (elements or text). */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** Sets the text only when it differs: a selection in it survives, and a reader is not told twice. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets, or with undefined removes, an attribute, only when it differs. */
export function setAttribute(element, name, value) {
  if (value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** A coloured word. */
export function pill(text, tone) {
  return h('span', { class: 'pill', 'data-tone': tone }, text);
}

/**
 * Makes the children of `parent` those of `items`, in their order: what has the same key stays the same
 * element, so that focus and animations survive an update.
 */
export function keyed(parent, items, keyOf, make, update) {
  const present = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let previous = null;
  for (const item of items) {
    const key = keyOf(item);
    let child = present.get(key);
    if (child === undefined) {
      child = make(item);
      child.dataset.key = key;
    }
    present.delete(key);
    update(child, item);
    const place = previous === null ? parent.firstChild : previous.nextSibling;
    if (place !== child) parent.insertBefore(child, place);
    previous = child;
  }
  for (const gone of present.values()) gone.remove();
}
