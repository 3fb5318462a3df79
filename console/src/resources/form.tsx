// A form made of a schema: what was not touched is not sent.

import { useId, useState } from "react";
import { Form as AriaForm, Button } from "react-aria-components";
import type { Resource, Values } from "../api";
import { Problem } from "../ui";
import type { FormOf, Schema } from "./openapi";

interface Props {
  form: FormOf;
  /** The record as it is, by the names of its fields. */
  record?: Resource;
  /** Parameters that stand first, in this order. */
  first?: string[];
  submit: string;
  onSubmit: (values: Values) => Promise<void>;
}

/** `SmsUrl` of a form is `sms_url` of a record. */
export const fieldOf = (name: string) => name.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toLowerCase();

const typeOf = (schema: Schema) =>
  Array.isArray(schema.type) ? (schema.type[0] ?? "string") : (schema.type ?? "string");

function present(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

export function Form({ form, record, first = [], submit, onSubmit }: Props) {
  const [touched, setTouched] = useState<Record<string, string>>({});
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const [done, setDone] = useState(false);
  const properties = form.schema.properties ?? {};
  const required = form.schema.required ?? [];
  const rank = (name: string) => {
    const at = first.indexOf(name);
    return at >= 0 ? at : required.includes(name) ? first.length : first.length + 1;
  };
  const names = Object.keys(properties).sort((a, b) => rank(a) - rank(b));
  const few = names.filter((name) => rank(name) <= first.length);
  const split = few.length > 0 && names.length > 8;
  const textOf = (name: string) => touched[name] ?? present(record?.[fieldOf(name)]);

  const go = async () => {
    const values: Values = {};
    for (const [name, text] of Object.entries(touched)) {
      if (text === present(record?.[fieldOf(name)])) continue;
      const isMany = typeOf(properties[name] ?? {}) === "array";
      values[name] = isMany ? text.split("\n").filter(Boolean) : parsed(text, form, name);
    }
    setBusy(true);
    setDone(false);
    try {
      await onSubmit(values);
      setTouched({});
      setError(null);
      setDone(true);
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  const field = (name: string) => (
    <Field
      key={name}
      name={name}
      schema={properties[name] ?? {}}
      value={textOf(name)}
      isRequired={required.includes(name)}
      onChange={(value) => setTouched({ ...touched, [name]: value })}
    />
  );
  return (
    <AriaForm
      className="form"
      onSubmit={(event) => {
        event.preventDefault();
        void go();
      }}
    >
      <div className="fields">{(split ? few : names).map(field)}</div>
      {split ? (
        <details>
          <summary>{names.length - few.length} more</summary>
          <div className="fields">{names.filter((name) => !few.includes(name)).map(field)}</div>
        </details>
      ) : null}
      <Problem error={error} />
      <div className="row">
        <Button type="submit" isDisabled={isBusy}>
          {submit}
        </Button>
        <span role="status">{done ? "Done." : ""}</span>
      </div>
    </AriaForm>
  );
}

/** JSON bodies hold numbers, truths and objects; what is not JSON is text. */
function parsed(text: string, form: FormOf, name: string): string {
  const type = typeOf(form.schema.properties?.[name] ?? {});
  const isText = type === "string" && form.schema.properties?.[name]?.type !== undefined;
  if (!form.isJson || isText) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

interface FieldProps {
  name: string;
  schema: Schema;
  value: string;
  isRequired: boolean;
  onChange: (value: string) => void;
}

function Field({ name, schema, value, isRequired, onChange }: FieldProps) {
  const type = typeOf(schema);
  const choices = schema.enum ?? (type === "boolean" ? ["true", "false"] : null);
  const hint = schema.default ? `${schema.default} by default` : "";
  const id = useId();
  const common = { id, name, required: isRequired };
  return (
    <label className="field" htmlFor={id}>
      <span>
        {name}
        {isRequired ? <b title="Required"> *</b> : null}
      </span>
      {choices ? (
        <select {...common} value={value} onChange={(event) => onChange(event.target.value)}>
          <option value="">{hint}</option>
          {[...new Set([...choices, ...(value ? [value] : [])])].map((choice) => (
            <option key={choice}>{choice}</option>
          ))}
        </select>
      ) : type === "array" || type === "object" || schema.type === undefined ? (
        <textarea
          {...common}
          rows={2}
          value={value}
          placeholder={type === "array" ? "One per line" : "JSON"}
          onChange={(event) => onChange(event.target.value)}
        />
      ) : (
        <input
          {...common}
          type={type === "integer" || type === "number" ? "number" : "text"}
          step={type === "number" ? "any" : undefined}
          min={schema.minimum}
          max={schema.maximum}
          inputMode={schema.format === "uri" ? "url" : undefined}
          placeholder={schema.format === "uri" ? "https://…" : hint}
          value={value}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </label>
  );
}
