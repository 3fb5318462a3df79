// Every resource of the platform: lists, records and forms, made of its tables.

import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { Button, Input, Label, TextField } from "react-aria-components";
import { here, loadEnv, page, type Resource, wire } from "../api";
import { Code, Copy, Empty, Inert, Panel, Problem } from "../ui";
import { Form } from "./form";
import {
  below,
  type Description,
  find,
  formOf,
  isList,
  listsOf,
  openapi,
  recordOf,
} from "./openapi";

/** Columns of a list: names first, then what changes. */
const COLUMNS = [
  "friendly_name", "unique_name", "name", "phone_number", "sender_id", "identity", "code", "from",
  "to", "body", "description", "category", "type", "status", "count", "price", "iso_country",
  "country", "date_created",
]; // biome-ignore format: a list of words
const COLUMNS_MAX = 5;

const words = (value: unknown): string => {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
};

export function Explorer() {
  const { at } = useSearch({ strict: false });
  const description = useQuery(openapi);
  const env = useQuery({ queryKey: ["env"], queryFn: loadEnv });
  if (!description.data || !env.data) return <Problem error={description.error ?? env.error} />;
  const path = at?.replaceAll("{AccountSid}", env.data.account_sid);
  return (
    <div className={path ? "split resources open" : "split resources"}>
      <Index description={description.data} at={at} />
      {path ? <Place key={path} description={description.data} path={path} /> : null}
    </div>
  );
}

function Index({ description, at }: { description: Description; at: string | undefined }) {
  const [text, setText] = useState("");
  const wanted = text.toLowerCase();
  const lists = listsOf(description).filter(({ name, product }) =>
    `${product} ${name}`.toLowerCase().includes(wanted),
  );
  const products = [...new Set(lists.map(({ product }) => product))];
  return (
    <section className="panel index">
      <header>
        <h1>Resources</h1>
      </header>
      <TextField value={text} onChange={setText}>
        <Label className="unseen">Search resources</Label>
        <Input placeholder="Search resources" />
      </TextField>
      <nav className="scroll" aria-label="Resources">
        {products.map((product) => (
          <div key={product}>
            <h2>{product}</h2>
            <ul>
              {lists
                .filter((list) => list.product === product)
                .map((list) => (
                  <li key={list.path}>
                    <Link
                      to="/console/resources"
                      search={{ at: list.path }}
                      aria-current={list.path === at ? "page" : undefined}
                    >
                      {list.name}
                    </Link>
                  </li>
                ))}
            </ul>
          </div>
        ))}
      </nav>
    </section>
  );
}

function Place({ description, path }: { description: Description; path: string }) {
  const found = find(description, path);
  if (!found) return <Empty>The platform has nothing at {path}.</Empty>;
  const { item, template } = found;
  if (isList(item.get) || !item.get) return <List description={description} path={path} />;
  return <Record_ description={description} path={path} template={template} />;
}

function Title({ path }: { path: string }) {
  return (
    <>
      <h2>
        <code className="path">{path.replace(/^\/_\//, "")}</code>
      </h2>
      <Copy text={path} label="Copy path" />
    </>
  );
}

function List({ description, path }: { description: Description; path: string }) {
  const client = useQueryClient();
  const item = find(description, path)?.item;
  const schema = item?.get ? recordOf(description, item.get) : null;
  const form = formOf(item?.post);
  const rows = useInfiniteQuery({
    queryKey: ["list", path],
    queryFn: ({ pageParam }) => page(pageParam),
    initialPageParam: path,
    getNextPageParam: (last) => last.next,
    enabled: Boolean(item?.get),
  });
  const items = rows.data?.pages.flatMap((one) => one.items) ?? [];
  const properties = Object.keys(schema?.properties ?? items[0] ?? {});
  const columns = COLUMNS.filter((name) => properties.includes(name)).slice(0, COLUMNS_MAX);
  return (
    <section className="panel">
      <header>
        <Title path={path} />
      </header>
      <div className="scroll">
        {form ? (
          <details className="create">
            <summary>Create</summary>
            <Form
              form={form}
              submit="Create"
              onSubmit={async (values) => {
                await wire(path, "POST", values, form.isJson);
                await client.invalidateQueries({ queryKey: ["list", path] });
              }}
            />
          </details>
        ) : null}
        <Problem error={rows.error} />
        <table>
          <thead>
            <tr>
              <th>{properties.includes("sid") ? "sid" : "record"}</th>
              {columns.map((name) => (
                <th key={name}>{name}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {items.map((record, index) => (
              <Row
                key={words(record.sid ?? record.id) || index}
                record={record}
                columns={columns}
                path={path}
                description={description}
              />
            ))}
          </tbody>
        </table>
        {rows.isSuccess && items.length === 0 ? <Empty>None yet.</Empty> : null}
        {rows.hasNextPage ? (
          <Button className="quiet" onPress={() => rows.fetchNextPage()}>
            More
          </Button>
        ) : null}
      </div>
    </section>
  );
}

/** Where a record of a list is: its own word for it, else its SID below the list. */
function addressOf(record: Resource, path: string, description: Description): string | null {
  const product = path.split("/")[2] ?? "api";
  const told = record.url ?? record.uri;
  if (typeof told === "string" && told) {
    const address = here(told, product);
    if (find(description, address)) return address;
  }
  const stem = path.replace(/\.json$/, "").split("?")[0];
  const address = `${stem}/${words(record.sid)}${path.includes(".json") ? ".json" : ""}`;
  return record.sid && find(description, address) ? address : null;
}

interface RowProps {
  record: Resource;
  columns: string[];
  path: string;
  description: Description;
}

function Row({ record, columns, path, description }: RowProps) {
  const address = addressOf(record, path, description);
  const label = words(record.sid) || words(Object.values(record)[0]) || "record";
  return (
    <tr>
      <td>
        {address && address !== path ? (
          <Link to="/console/resources" search={{ at: address }}>
            <code>{label}</code>
          </Link>
        ) : (
          <details>
            <summary>
              <Inert text={label} />
            </summary>
            <Code text={JSON.stringify(record, null, 2)} />
          </details>
        )}
      </td>
      {columns.map((name) => (
        <td key={name}>
          <Inert text={words(record[name])} />
        </td>
      ))}
    </tr>
  );
}

interface RecordProps {
  description: Description;
  path: string;
  template: string;
}

function Record_({ description, path, template }: RecordProps) {
  const client = useQueryClient();
  const go = useNavigate();
  const [error, setError] = useState<unknown>(null);
  const [sure, setSure] = useState(false);
  const item = find(description, path)?.item;
  const record = useQuery({ queryKey: ["record", path], queryFn: () => wire<Resource>(path) });
  const form = formOf(item?.post);
  const under = below(description, template, path);
  const remove = async () => {
    try {
      await wire(path, "DELETE");
      client.removeQueries({ queryKey: ["record", path] });
      await client.invalidateQueries({ queryKey: ["list"] });
      const list = path.split("/").slice(0, -1).join("/");
      const isDotted = path.includes(".json");
      await go({ to: "/console/resources", search: { at: isDotted ? `${list}.json` : list } });
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <section className="panel">
      <header>
        <Title path={path} />
        {item?.delete ? (
          <Button className="danger" onPress={() => (sure ? void remove() : setSure(true))}>
            {sure ? "Delete for good" : "Delete"}
          </Button>
        ) : null}
      </header>
      <div className="scroll">
        <Problem error={error ?? record.error} />
        {under.length > 0 ? (
          <p className="chips">
            {under.map((list) => (
              <Link key={list.path} to="/console/resources" search={{ at: list.path }}>
                {list.name}
              </Link>
            ))}
          </p>
        ) : null}
        {record.data ? (
          <dl className="facts">
            {Object.entries(record.data).map(([name, value]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>
                  <Inert text={words(value)} />
                </dd>
              </div>
            ))}
          </dl>
        ) : null}
        {form && record.data ? (
          <Panel title="Change">
            <Form
              form={form}
              record={record.data}
              submit="Save"
              onSubmit={async (values) => {
                await wire(path, "POST", values, form.isJson);
                await client.invalidateQueries({ queryKey: ["record", path] });
                await client.invalidateQueries({ queryKey: ["list"] });
              }}
            />
          </Panel>
        ) : null}
      </div>
    </section>
  );
}
