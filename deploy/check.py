"""Checks what is deployed: that YAML is YAML, that the chart lints and renders, that containers may not write.

Run by `cargo xtask package check`, with PyYAML and helm-python-sdk (Helm's own library).
"""

import pathlib
import sys

import helm_python.chart as helm
import yaml

HERE = pathlib.Path(__file__).parent
CHART = HERE / "helm" / "offhook"
EVERYTHING = {
    "publicUrl": "https://sms.example",
    "database": {"existingSecret": "offhook-database"},
    "config": "[rates]\nlong_code = 1.0\n",
    "allowWebhooksTo": ["10.0.0.0/8", "apps.example"],
    "otlp": "http://collector:4318",
    "env": {"OFFHOOK_PACE": "true"},
    "serviceMonitor": {"enabled": True, "basicAuthSecret": "offhook-metrics"},
    "persistence": {"existingClaim": "kept"},
    "nodeSelector": {"disk": "ssd"},
}


def documents(text):
    return [one for one in yaml.safe_load_all(text) if one]


def rendered(values):
    with helm.Chart.load(CHART) as chart:
        manifests = chart.render(values=values, name="demo", namespace="phones")
    texts = manifests.values() if isinstance(manifests, dict) else [manifests]
    found = [one for text in texts for one in documents(text)]
    return {one["kind"]: one for one in found}


def check_pod(kinds):
    pod = kinds["StatefulSet"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    claims = {one["metadata"]["name"] for one in kinds["StatefulSet"]["spec"].get("volumeClaimTemplates", [])}
    assert mounts == volumes | claims, (mounts, volumes, claims)
    selector = kinds["StatefulSet"]["spec"]["selector"]["matchLabels"]
    assert kinds["Service"]["spec"]["selector"] == selector
    return pod, {one["name"]: one.get("value") for one in container["env"]}


def main():
    lint = helm.lint(CHART)
    # Severities of Helm: 1 is advice, such as that a chart has a picture.
    problems = [one for one in lint.get("messages", []) if one["severity"] > 1]
    assert not problems, problems
    pod, env = check_pod(rendered({}))
    assert "OFFHOOK_DATABASE" not in env
    kinds = rendered(EVERYTHING)
    pod, env = check_pod(kinds)
    assert set(kinds) == {"StatefulSet", "Service", "Secret", "ServiceMonitor"}, set(kinds)
    assert env["OFFHOOK_ALLOW_WEBHOOKS_TO"] == "10.0.0.0/8,apps.example" and env["OFFHOOK_PACE"] == "true"
    assert "OFFHOOK_DATABASE" in env and "OFFHOOK_CONFIG" in env
    assert kinds["Secret"]["stringData"]["offhook.toml"].startswith("[rates]")
    assert pod["terminationGracePeriodSeconds"] == 35

    compose = documents((HERE / "docker-compose.yml").read_text())[0]
    service = compose["services"]["offhook"]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert (HERE.parent / service["build"]["dockerfile"]).exists()
    rules = documents((HERE / "prometheus" / "offhook.rules.yml").read_text())[0]
    alerts = rules["groups"][0]["rules"]
    assert len(alerts) >= 5
    runbook = (HERE.parent / "docs" / "guides" / "runbook.md").read_text()
    for alert in alerts:
        assert f"\n## {alert['alert']}\n" in runbook, f"the runbook says nothing of {alert['alert']}"
        assert alert["annotations"]["runbook_url"].endswith(f"runbook.md#{alert['alert'].lower()}"), alert
    print(f"deploy: chart lints and renders {len(kinds)} kinds, compose and rules are YAML")


if __name__ == "__main__":
    sys.exit(main())
