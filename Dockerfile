# The built executable on Debian's libc: ./scripts/build && docker build -t metaflow .
#
#   docker run -d --network host --pid host --privileged -v metaflow:/var/lib/metaflow \
#     metaflow --mode=demo
#   docker run -d -p 20416:20416 -e METAFLOW_SERVER_LISTEN=0.0.0.0:20416 -e METAFLOW_SERVER_TOKEN=… \
#     -v metaflow:/var/lib/metaflow metaflow --mode=server
#
# In place of --privileged: --cap-drop ALL --cap-add SYS_PTRACE --cap-add DAC_READ_SEARCH and
# --cap-add BPF --cap-add PERFMON (SYS_ADMIN, where Docker does not know these two). --pid host lets
# it name the processes it sees.
FROM debian:12-slim
COPY dist/metaflow /usr/local/bin/metaflow
VOLUME /var/lib/metaflow
EXPOSE 20416
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/metaflow"]
CMD ["--mode=server"]
