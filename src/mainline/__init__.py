"""The machinery of the template: it knows no dataset."""
