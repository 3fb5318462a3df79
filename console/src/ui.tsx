// The small parts that every view is made of.

import { Link } from "@tanstack/react-router";
import { Fragment, type ReactNode, useState } from "react";
import { Button } from "react-aria-components";
import { Refusal } from "./api";

const CONTROLS = /[\u202a-\u202e\u2066-\u2069]|(?![\n\t])\p{Cc}/gu;

/** Text of others: never markup, and what would turn its direction around is written out. */
export function Inert({ text }: { text: string }) {
  const parts: ReactNode[] = [];
  let at = 0;
  for (const match of text.matchAll(CONTROLS)) {
    const code = match[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    parts.push(text.slice(at, match.index), <i className="control">U+{code}</i>);
    at = match.index + 1;
  }
  parts.push(text.slice(at));
  return (
    <bdi className="inert">
      {parts.map((part, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a text have no other name
        <Fragment key={index}>{part}</Fragment>
      ))}
    </bdi>
  );
}

/** `HH:MM:SS` of the platform's clock, the date where it is another day than `today`. */
export function At({ time, today }: { time: string; today?: string }) {
  const date = new Date(time);
  const valid = !Number.isNaN(date.getTime());
  const iso = valid ? date.toISOString() : time;
  const day = valid && iso.slice(0, 10) !== (today ?? "").slice(0, 10);
  const clock = date.toLocaleTimeString([], { hour12: false });
  return (
    <time dateTime={iso} title={iso}>
      {day && today !== undefined ? `${date.toLocaleDateString()} ` : ""}
      {valid ? clock : time}
    </time>
  );
}

/** Browsers offer a clipboard to secure origins alone; elsewhere a selection is copied. */
async function toClipboard(text: string) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await toClipboard(text);
    setDone(true);
    window.setTimeout(() => setDone(false), 1500);
  };
  return (
    <Button className="quiet" onPress={copy}>
      {done ? "Copied" : label}
    </Button>
  );
}

export function Code({ text, label }: { text: string; label?: string }) {
  return (
    <div className="code">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys */}
      <pre tabIndex={0}>
        <Inert text={text} />
      </pre>
      <Copy text={text} {...(label ? { label } : {})} />
    </div>
  );
}

/** How a status or a kind looks: good, bad, or on its way. */
export function tone(word: string): "good" | "bad" | "wait" | "plain" {
  if (/delivered|read|received|approved|verified|\bsuccess/.test(word) && !/un/.test(word)) {
    return "good";
  }
  if (/fail|undeliver|error|alert|reject|dead|canceled/.test(word)) return "bad";
  if (/queued|sending|accepted|scheduled|pending|sent/.test(word)) return "wait";
  return "plain";
}

export function Badge({ children, as }: { children: string; as?: string }) {
  return <span className={`badge ${as ?? tone(children)}`}>{children}</span>;
}

/** What went wrong, with its code's page unless it `isPlain`. */
export function Problem({ error, isPlain }: { error: unknown; isPlain?: boolean }) {
  if (!error) return null;
  const code = error instanceof Refusal && !isPlain ? error.code : null;
  return (
    <p className="problem" role="alert">
      {code ? (
        <>
          <Link to="/console/debugger" search={{ code: String(code) }}>
            {code}
          </Link>{" "}
        </>
      ) : null}
      <Inert text={error instanceof Error ? error.message : String(error)} />
    </p>
  );
}

export function Empty({ children }: { children: ReactNode }) {
  return <div className="empty">{children}</div>;
}

/** A phone number as people read it. */
export function pretty(number: string): string {
  const american = /^\+1(\d{3})(\d{3})(\d{4})$/.exec(number);
  return american ? `+1 ${american[1]} ${american[2]} ${american[3]}` : number;
}

export function Panel(props: { title: string; children: ReactNode; aside?: ReactNode }) {
  return (
    <section className="panel">
      <header>
        <h2>{props.title}</h2>
        {props.aside}
      </header>
      {props.children}
    </section>
  );
}
