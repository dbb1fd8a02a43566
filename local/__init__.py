"""gonogo whole on one machine: the same app.py and infra/template.yaml, with moto in the place of AWS."""
