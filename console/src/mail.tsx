// The simulated mailboxes: the mails as their readers see them, and what became of each.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { Button, Form, Input, Label, TextField } from "react-aria-components";
import { type Answer, type Mail, type Mailbox, own } from "./api";
import { useLive } from "./live";
import { useMay } from "./session";
import { At, Badge, Code, Empty, Inert, Problem } from "./ui";

const SHOWN = 100;
const REACTIONS = ["open", "click", "unsubscribe", "spam", "bounce"];
const BEHAVIOURS = [
  "delivers",
  "bounces",
  "blocks",
  "defers",
  "spam",
  "opens",
  "clicks",
  "unsubscribes",
];

const at = (address: string, rest = "") => `/mailboxes/${encodeURIComponent(address)}${rest}`;

/** The number of the last event of a mail: what is shown is read again then. */
function useNewest(): number {
  const { events } = useLive();
  return events.findLast(({ kind }) => kind.startsWith("email."))?.seq ?? 0;
}

export function MailView() {
  const go = useNavigate();
  const { box, id } = useSearch({ strict: false });
  const newest = useNewest();
  const boxes = useQuery({
    queryKey: ["mailboxes", newest],
    queryFn: () => own<Answer<"/mailboxes">>("/mailboxes"),
    placeholderData: (before) => before,
  });
  const all = boxes.data?.mailboxes ?? [];
  const open = box ?? all[0]?.address;
  const mails = useQuery({
    queryKey: ["mails", open, newest],
    queryFn: () =>
      own<Answer<"/mailboxes/{address}/mails">>(at(open ?? "", `/mails?limit=${SHOWN}`)),
    placeholderData: (before, query) => (query?.queryKey[1] === open ? before : undefined),
    enabled: open !== undefined,
  });
  const list = mails.data?.mails ?? [];
  const shown = list.find((mail) => mail.id === id) ?? list[0];
  const choose = (search: { box?: string; id?: string }) => go({ to: "/console/mail", search });
  return (
    <div className="mail">
      <section className="panel">
        <header>
          <h1>Mail</h1>
        </header>
        <Problem error={boxes.error ?? mails.error} />
        <Boxes all={all} open={open} choose={(address) => choose({ box: address })} />
        <ul className="mails" aria-label="Mails">
          {list.map((mail) => (
            <li key={mail.id}>
              <button
                type="button"
                aria-pressed={mail === shown}
                onClick={() => choose({ box: open ?? "", id: mail.id })}
              >
                <b>
                  <Inert text={mail.subject || "(no subject)"} />
                </b>
                <small>
                  <Inert text={mail.from} /> <At time={mail.at} />
                </small>
              </button>
            </li>
          ))}
        </ul>
        {boxes.isSuccess && list.length === 0 ? (
          <Empty>No mail yet: programs that use SendGrid's libraries reach this platform.</Empty>
        ) : null}
      </section>
      {shown && open ? <Shown key={shown.id} mail={shown} address={open} newest={newest} /> : null}
    </div>
  );
}

interface BoxesProps {
  all: Mailbox[];
  open: string | undefined;
  choose: (address: string) => void;
}

function Boxes({ all, open, choose }: BoxesProps) {
  const client = useQueryClient();
  const mayAct = useMay("change");
  const [address, setAddress] = useState("");
  const [error, setError] = useState<unknown>(null);
  const behaviour = all.find((one) => one.address === open)?.behaviour ?? "delivers";
  const set = async (whose: string, how: string) => {
    try {
      await own(at(whose), "PUT", { behaviour: how });
      setError(null);
      await client.invalidateQueries({ queryKey: ["mailboxes"] });
      choose(whose.toLowerCase());
      setAddress("");
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <>
      <div className="row wrap">
        <select
          aria-label="Mailbox"
          value={open ?? ""}
          onChange={(event) => choose(event.target.value)}
        >
          {open && !all.some((one) => one.address === open) ? <option>{open}</option> : null}
          {all.map((one) => (
            <option key={one.address}>{one.address}</option>
          ))}
        </select>
        {open ? (
          <select
            aria-label={`Behaviour of ${open}`}
            value={behaviour}
            disabled={!mayAct}
            onChange={(event) => void set(open, event.target.value)}
          >
            {BEHAVIOURS.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        ) : null}
      </div>
      {mayAct ? (
        <Form
          className="row"
          onSubmit={(event) => {
            event.preventDefault();
            void set(address.trim(), "delivers");
          }}
        >
          <TextField value={address} onChange={setAddress} isRequired>
            <Label className="unseen">Address of a new mailbox</Label>
            <Input placeholder="ann@example.com" inputMode="email" />
          </TextField>
          <Button type="submit">Add</Button>
        </Form>
      ) : null}
      <Problem error={error} />
    </>
  );
}

function Shown({ mail, address, newest }: { mail: Mail; address: string; newest: number }) {
  const client = useQueryClient();
  const mayAct = useMay("change");
  const [error, setError] = useState<unknown>(null);
  const events = useQuery({
    queryKey: ["timeline", mail.id, newest],
    queryFn: () => own<Answer<"/events">>(`/events?sid=${encodeURIComponent(mail.id)}&after=0`),
    placeholderData: (before) => before,
  });
  const react = async (reaction: string) => {
    try {
      await own(at(address, `/mails/${encodeURIComponent(mail.id)}/${reaction}`), "POST");
      setError(null);
      await client.invalidateQueries({ queryKey: ["timeline", mail.id] });
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <section className="panel" aria-label="Mail">
      <header>
        <h2>
          <Inert text={mail.subject || "(no subject)"} />
        </h2>
      </header>
      <p className="hint">
        <Inert text={`${mail.from} → ${[mail.to, mail.cc].filter(Boolean).join(", ")}`} />
      </p>
      <Body mail={mail} address={address} />
      {mail.files.length > 0 ? (
        <p>
          {mail.files.map((file) => (
            <span key={file.filename} className="attachment">
              <Inert text={`${file.filename} (${file.content_type}, ${file.size} bytes)`} />
            </span>
          ))}
        </p>
      ) : null}
      {mayAct ? (
        <div className="row wrap" role="group" aria-label="What its reader does">
          {REACTIONS.map((reaction) => (
            <Button key={reaction} onPress={() => void react(reaction)}>
              {reaction}
            </Button>
          ))}
        </div>
      ) : null}
      <Problem error={error ?? events.error} />
      <ol className="mail-events" aria-label="What became of it">
        {(events.data?.events ?? []).map((event) => (
          <li key={event.seq}>
            <At time={event.at} /> <Badge>{event.kind.replace("email.", "")}</Badge>
          </li>
        ))}
      </ol>
      <details>
        <summary>Headers and text</summary>
        <Code text={mail.headers} />
        {mail.text ? <Code text={mail.text} /> : null}
      </details>
    </section>
  );
}

/** In its frame nothing of a mail runs, is loaded or leads anywhere: links are listed instead. */
function Body({ mail, address }: { mail: Mail; address: string }) {
  if (mail.html === null) return <Code text={mail.text ?? ""} />;
  const page = `/_offhook/v1${at(address, `/mails/${encodeURIComponent(mail.id)}/page`)}`;
  return (
    <>
      <iframe className="letter" title="The mail" sandbox="" src={page} />
      {mail.links.length > 0 ? (
        <details>
          <summary>Links: {mail.links.length}</summary>
          <Code text={mail.links.join("\n")} />
        </details>
      ) : null}
    </>
  );
}
