// What every part of the page needs: its elements, and lines of text. No text is ever taken as HTML.

export const $ = (id) => document.getElementById(id);

/** An element with text, or with other elements. */
export function make(tag, { className = "", ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  element.className = className;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Add a line to a list that keeps the newest `most`, and stays at its end if it was there. */
export function addLine(list, line, most) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(line);
  while (list.children.length > most) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

export const clock = (time, seconds) =>
  new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: seconds && "2-digit" });

/** What to say of an event that went wrong. */
export function explain(error) {
  if (error.name === "OutcomeUnknown") return "nobody knows whether it arrived";
  return error.message;
}
