// TwiML as it is typed: what is wrong, what it would do, and how it sounds on a phone.

import { useQueryClient } from "@tanstack/react-query";
import { useDeferredValue, useRef, useState } from "react";
import { Button, Form, Input, Label, TextField } from "react-aria-components";
import { type Handset, loadEnv, own, wire } from "../api";
import { Phone } from "../phones/phone";
import { Badge, Empty, Inert, Panel, Problem } from "../ui";
import { Diagnostics, type Kind, useCheck } from "./document";

const SAMPLES: Record<Kind, string> = {
  voice: `<?xml version="1.0" encoding="UTF-8"?>
<Response>
  <Gather numDigits="1" timeout="10">
    <Say>Press one for sales.</Say>
  </Gather>
  <Say>Goodbye.</Say>
</Response>`,
  messaging: `<?xml version="1.0" encoding="UTF-8"?>
<Response>
  <Message>Thanks for your message!</Message>
</Response>`,
};

export function Playground() {
  const [kind, setKind] = useState<Kind>("voice");
  const [texts, setTexts] = useState(SAMPLES);
  const text = texts[kind];
  const checked = useCheck(kind, useDeferredValue(text));
  const found = checked.data;
  const [phone, setPhone] = useState("+14155550123");
  const [shown, setShown] = useState<string | null>(null);
  const source = useRef<HTMLTextAreaElement>(null);
  /** Puts the cursor where a mistake is. */
  const go = (line: number, column: number) => {
    const before = text.split("\n").slice(0, line - 1);
    const at = before.reduce((sum, one) => sum + one.length + 1, 0) + column - 1;
    source.current?.focus();
    source.current?.setSelectionRange(at, at);
  };
  return (
    <div className={shown ? "split open" : "split"}>
      <section className="panel">
        <header>
          <h1>TwiML</h1>
          <select
            aria-label="For"
            value={kind}
            onChange={(event) => setKind(event.target.value as Kind)}
          >
            <option value="voice">calls</option>
            <option value="messaging">messages</option>
          </select>
        </header>
        <textarea
          className="source"
          ref={source}
          aria-label="TwiML document"
          spellCheck={false}
          rows={16}
          value={text}
          onChange={(event) => setTexts({ ...texts, [kind]: event.target.value })}
        />
        <Problem error={checked.error} />
        <div role="status" aria-label="What is wrong">
          {found && found.diagnostics.length === 0 ? (
            <p className="hint">Nothing is wrong.</p>
          ) : null}
          {found ? <Diagnostics all={found.diagnostics} isFatal={found.fatal} onGo={go} /> : null}
        </div>
        <Verbs verbs={found?.verbs ?? []} />
        <Run
          key={kind}
          does={kind === "voice" ? call : write}
          text={text}
          phone={phone}
          setPhone={setPhone}
          onRun={setShown}
        />
      </section>
      {shown ? <Phone key={shown} number={shown} onClose={() => setShown(null)} /> : null}
    </div>
  );
}

function Verbs({ verbs }: { verbs: { name: string; text?: string }[] }) {
  if (verbs.length === 0) return <Empty>It does nothing.</Empty>;
  return (
    <Panel title="What it does">
      <ol className="verbs">
        {verbs.map((verb, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: two verbs may be alike
          <li key={index}>
            <Badge as="plain">{verb.name}</Badge> <Inert text={verb.text ?? ""} />
          </li>
        ))}
      </ol>
    </Panel>
  );
}

/** How a document is run on a phone. */
interface Does {
  charactersMax: number;
  button: string;
  tooLong: string;
  /** What the phone's owner types, where that is asked. */
  said?: string;
  run: (number: string, document: string, said: string) => Promise<unknown>;
}

const call: Does = {
  charactersMax: 4000,
  button: "Call it with this",
  tooLong: "A call takes 4000 characters of TwiML.",
  run: async (number, document) => {
    const { account_sid, phone_number } = await loadEnv();
    const calls = `/_/api/2010-04-01/Accounts/${account_sid}/Calls.json`;
    return wire(calls, "POST", { To: number, From: phone_number, Twiml: document });
  },
};

const write: Does = {
  charactersMax: 64 * 1024,
  button: "Answer a text with this",
  tooLong: "An answer has 64 kB.",
  said: "Hello",
  run: async (number, document, said) => {
    const { phone_number } = await loadEnv();
    const typed = { to: phone_number, body: said, twiml: document };
    return own(`/handsets/${encodeURIComponent(number)}/messages`, "POST", typed);
  },
};

interface RunProps {
  does: Does;
  text: string;
  phone: string;
  setPhone: (phone: string) => void;
  onRun: (phone: string) => void;
}

/** Calls a phone with the document, or answers with it what somebody types there. */
function Run({ does, text, phone, setPhone, onRun }: RunProps) {
  const [error, setError] = useState<unknown>(null);
  const [said, setSaid] = useState(does.said ?? "");
  const client = useQueryClient();
  const run = async () => {
    try {
      const { number } = await own<Handset>(`/handsets/${encodeURIComponent(phone)}`);
      await does.run(number, text, said);
      await client.invalidateQueries({ queryKey: ["thread", number] });
      setError(null);
      onRun(number);
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <Form
      className="row wrap"
      onSubmit={(event) => {
        event.preventDefault();
        void run();
      }}
    >
      <TextField value={phone} onChange={setPhone} isRequired>
        <Label>Phone</Label> <Input inputMode="tel" />
      </TextField>
      {does.said === undefined ? null : (
        <TextField value={said} onChange={setSaid} isRequired>
          <Label>types</Label> <Input />
        </TextField>
      )}
      <Button type="submit" isDisabled={text.length > does.charactersMax}>
        {does.button}
      </Button>
      {text.length > does.charactersMax ? <span className="hint">{does.tooLong}</span> : null}
      <Problem error={error} />
    </Form>
  );
}
