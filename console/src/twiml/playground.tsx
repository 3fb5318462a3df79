// TwiML as it is typed: what is wrong, what it would do, and how it sounds on a phone.

import { useQuery } from "@tanstack/react-query";
import { useDeferredValue, useState } from "react";
import { Button, Form, Input, Label, TextField } from "react-aria-components";
import { loadEnv, own, wire } from "../api";
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
const CHARACTERS_MAX = 4000;

export function Playground() {
  const [kind, setKind] = useState<Kind>("voice");
  const [texts, setTexts] = useState(SAMPLES);
  const text = texts[kind];
  const checked = useCheck(kind, useDeferredValue(text));
  const found = checked.data;
  const [phone, setPhone] = useState("+14155550123");
  const [shown, setShown] = useState<string | null>(null);
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
          {found ? <Diagnostics all={found.diagnostics} isFatal={found.fatal} /> : null}
        </div>
        <Verbs verbs={found?.verbs ?? []} />
        {kind === "voice" ? (
          <Run text={text} phone={phone} setPhone={setPhone} onRun={setShown} />
        ) : (
          <p className="hint">
            A number whose SmsUrl answers with this does it when somebody writes: see Numbers.
          </p>
        )}
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

interface RunProps {
  text: string;
  phone: string;
  setPhone: (phone: string) => void;
  onRun: (phone: string) => void;
}

/** Calls a phone with the document. */
function Run({ text, phone, setPhone, onRun }: RunProps) {
  const [error, setError] = useState<unknown>(null);
  const env = useQuery({ queryKey: ["env"], queryFn: loadEnv });
  const run = async () => {
    try {
      const { account_sid, phone_number } = env.data ?? (await loadEnv());
      const { number } = await own<{ number: string }>(`/handsets/${encodeURIComponent(phone)}`);
      const calls = `/_/api/2010-04-01/Accounts/${account_sid}/Calls.json`;
      await wire(calls, "POST", { To: number, From: phone_number, Twiml: text });
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
      <Button type="submit" isDisabled={text.length > CHARACTERS_MAX}>
        Call it with this
      </Button>
      {text.length > CHARACTERS_MAX ? (
        <span className="hint">A call takes {CHARACTERS_MAX} characters of TwiML.</span>
      ) : null}
      <Problem error={error} />
    </Form>
  );
}
