// One message as a phone shows it: text, pictures, buttons, lists, ticks.

import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Button, Line, ListRow, Rich } from "../api";
import { At, Inert } from "../ui";

export interface Tapped {
  body: string;
  button?: string;
  row?: string;
}

/** Media of the platform are read from this page's own origin. */
function local(address: string): string | null {
  try {
    const url = new URL(address, location.origin);
    return url.pathname.startsWith("/2010-04-01/") ? url.pathname : null;
  } catch {
    return null;
  }
}

function Media({ item }: { item: string }) {
  const [shows, setShows] = useState(true);
  const path = local(item);
  if (!path) {
    return (
      <span className="attachment">
        <Inert text={item} />
      </span>
    );
  }
  return shows ? (
    <img src={path} alt="Attached to the message" onError={() => setShows(false)} />
  ) : (
    <a className="attachment" href={path} download>
      Attachment
    </a>
  );
}

/** What a button does that is nobody's answer. */
const leads = (button: Button) => button.url ?? button.phone ?? button.code ?? "";

function Buttons({ all, onTap }: { all: Button[]; onTap: (tapped: Tapped) => void }) {
  return (
    <div className="buttons">
      {all.map((button, index) => {
        const title = button.title ?? button.type;
        const answers = button.type === "reply";
        return (
          <button
            type="button"
            // biome-ignore lint/suspicious/noArrayIndexKey: two buttons may be alike
            key={index}
            disabled={!answers}
            title={answers ? `Answers ${button.id ?? ""}` : leads(button)}
            onClick={() => onTap({ body: title, button: button.id ?? title })}
          >
            <Inert text={title} />
            {answers ? null : (
              <small>
                <Inert text={leads(button)} />
              </small>
            )}
          </button>
        );
      })}
    </div>
  );
}

function Rows(props: { label: string; rows: ListRow[]; onTap: (tapped: Tapped) => void }) {
  return (
    <details className="rows">
      <summary>
        <Inert text={props.label} />
      </summary>
      {props.rows.map((row) => (
        <button
          type="button"
          key={row.id}
          onClick={() => props.onTap({ body: row.title, row: row.id })}
        >
          <Inert text={row.title} />
          <small>
            <Inert text={row.description} />
          </small>
        </button>
      ))}
    </details>
  );
}

function RichParts({ rich, onTap }: { rich: Rich; onTap: (tapped: Tapped) => void }) {
  return (
    <>
      {rich.footer ? (
        <p className="footer">
          <Inert text={rich.footer} />
        </p>
      ) : null}
      {rich.carousel?.length ? (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys
        <div className="carousel" tabIndex={0} role="group" aria-label="Cards">
          {rich.carousel.map((card, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: cards have no other name
            <section key={index}>
              <b>
                <Inert text={card.title} />
              </b>
              <p>
                <Inert text={card.body} />
              </p>
              <small>
                <Inert text={card.media} />
              </small>
              <Buttons all={card.buttons} onTap={onTap} />
            </section>
          ))}
        </div>
      ) : null}
      {rich.buttons?.length ? <Buttons all={rich.buttons} onTap={onTap} /> : null}
      {rich.list ? <Rows label={rich.list.button} rows={rich.list.rows} onTap={onTap} /> : null}
    </>
  );
}

function Header({ header }: { header: NonNullable<Rich["header"]> }) {
  const text = header.text ?? [header.label, header.address].filter(Boolean).join(", ");
  if (!text) return null;
  return (
    <b>
      <Inert text={text} />
    </b>
  );
}

/** Ticks as WhatsApp has them: gray when it arrived, blue when it was read. */
function Ticks({ line }: { line: Line }) {
  if (line.failed) return <span className="failed">not delivered: nobody owns this number</span>;
  if (!line.peer.includes(":")) return null;
  const read = line.direction === "sent" || line.read;
  const word = line.direction === "sent" ? "taken" : line.read ? "read" : "arrived";
  return (
    <span className={read && line.direction === "received" ? "ticks read" : "ticks"} title={word}>
      <span aria-hidden="true">✓✓</span>
      <span className="unseen">{word}</span>
    </span>
  );
}

export function Bubble({ line, onTap }: { line: Line; onTap: (tapped: Tapped) => void }) {
  return (
    <div className={`bubble ${line.direction} ${line.peer.includes(":") ? "rich" : ""}`}>
      {line.media.map((item) => (
        <Media key={item} item={item} />
      ))}
      {line.rich?.header ? <Header header={line.rich.header} /> : null}
      {line.body ? (
        <p className="body">
          <Inert text={line.body} />
        </p>
      ) : null}
      {line.rich ? <RichParts rich={line.rich} onTap={onTap} /> : null}
      <footer>
        <Link to="/console/activity" search={{ sid: line.sid }} title={line.sid}>
          <At time={line.at} />
        </Link>
        <Ticks line={line} />
      </footer>
    </div>
  );
}
