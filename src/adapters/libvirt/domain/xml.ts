import { DOMParser, type Document, type Element, type Node, XMLSerializer } from "@xmldom/xmldom";

/**
 * The few things done to libvirt's XML. Definitions are edited, never built anew from what we understand of them: what
 * people and libvirt wrote into one stays.
 */
export type XmlElement = Element;

/** The root element. Throws on text that is no XML: libvirt never sends such, so it is a cut-off answer. */
export function parseXml(text: string): XmlElement {
  const problems: string[] = [];
  const onError = (_level: string, message: string): void => void problems.push(message);
  const document: Document = new DOMParser({ onError }).parseFromString(text.trim(), "text/xml");
  const root = document.documentElement;
  if (root === null || problems.length > 0) throw new Error(`unexpected XML from libvirt: ${problems[0] ?? "nothing"}`);
  return root;
}

export function toXml(element: XmlElement): string {
  return new XMLSerializer().serializeToString(element);
}

/** Child elements, of one name when given. */
export function childrenOf(element: XmlElement | undefined, name?: string): XmlElement[] {
  if (element === undefined) return [];
  const found: XmlElement[] = [];
  for (let node: Node | null = element.firstChild; node !== null; node = node.nextSibling) {
    if (isElement(node) && (name === undefined || node.nodeName === name)) found.push(node);
  }
  return found;
}

/** The first element along a path of names, e.g. `os`, `type`. */
export function find(element: XmlElement | undefined, ...path: readonly string[]): XmlElement | undefined {
  return path.reduce<XmlElement | undefined>((at, name) => childrenOf(at, name)[0], element);
}

export function textOf(element: XmlElement | undefined): string {
  return element?.textContent ?? "";
}

/** An attribute, undefined when it is not there. */
export function attribute(element: XmlElement | undefined, name: string): string | undefined {
  return element?.getAttribute(name) ?? undefined;
}

/** The child of that name, made when it is missing; before the first child of one of the names `before`. */
export function ensureChild(element: XmlElement, name: string, before: readonly string[] = []): XmlElement {
  const found = find(element, name);
  if (found !== undefined) return found;
  const made = ownerOf(element).createElement(name);
  const successor = childrenOf(element).find((child) => before.includes(child.nodeName));
  element.insertBefore(made, successor ?? null);
  return made;
}

/** Replaces the whole content by a text. */
export function setText(element: XmlElement, text: string): void {
  element.textContent = text;
}

export function removeElement(element: XmlElement | undefined): void {
  element?.parentNode?.removeChild(element);
}

/** Parses a fragment and appends it; answers the new element, which belongs to the document of `parent`. */
export function appendXml(parent: XmlElement, text: string): XmlElement {
  const made = ownerOf(parent).importNode(parseXml(text), true);
  parent.appendChild(made);
  return made;
}

/** Text or attribute value as it may stand in XML. Characters that XML cannot hold at all are left out. */
export function escapeXml(text: string): string {
  return text
    .replaceAll(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, "")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&apos;")
    .replaceAll("\n", "&#10;")
    .replaceAll("\r", "&#13;")
    .replaceAll("\t", "&#9;");
}

/** `<name a="1"/>` from members; undefined ones are left out. */
export function tag(name: string, members: Readonly<Record<string, string | number | undefined>>): string {
  const attributes = Object.entries(members).flatMap(([key, value]) =>
    value === undefined ? [] : [` ${key}="${escapeXml(String(value))}"`],
  );
  return `<${name}${attributes.join("")}/>`;
}

function isElement(node: Node): node is XmlElement {
  return node.nodeType === 1;
}

function ownerOf(element: XmlElement): Document {
  const owner = element.ownerDocument;
  if (owner === null) throw new Error("an XML element without a document");
  return owner;
}
