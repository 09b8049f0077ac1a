"""The example project: will this client of a bank subscribe to a deposit if we call?"""
