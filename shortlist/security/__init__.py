"""Who may call whom: TLS, certificates, tokens and the list of what each caller may do. All of it changes live."""
